"""Losses in 60 digits, by the textbook formulas and Newton's method in mpmath."""

from mpmath import mp, mpf

DIGITS = 60


def _numbers(values):
    mp.dps = DIGITS
    return [mpf(float(v)) for v in values]


def log_alpha(u, alpha):
    """Deformed logarithm, the derivative of Tsallis' entropy up to a constant."""
    a = mpf(alpha) - 1
    return mp.log(u) if a == 0 else (u**a - 1) / a


def exp_alpha(u, alpha):
    a = mpf(alpha) - 1
    if a == 0:
        return mp.exp(u)
    base = 1 + a * u
    return base ** (1 / a) if base > 0 else mpf(0)


def tsallis(p, alpha):
    alpha = mpf(alpha)
    if alpha == 1:
        return sum(v * mp.log(v) for v in p if v > 0)
    return (sum(v**alpha for v in p) - sum(p)) / (alpha * (alpha - 1))


def _increasing_root(f, low, high):
    """Root of an increasing function: bisection to 12 digits, then secants."""
    while high - low > mpf(10) ** -12 * (1 + abs(high)):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    at_low, at_high = f(low), f(high)
    for _ in range(8):
        if at_high == at_low:
            break
        following = high - at_high * (high - low) / (at_high - at_low)
        low, at_low, high = high, at_high, following
        at_high = f(high)
    return high


def entmax(x, alpha):
    """Entmax of exact numbers."""
    top = max(x)
    tau = _increasing_root(
        lambda t: 1 - sum(exp_alpha(v - t, alpha) for v in x), top, top + 2 * len(x) + 2
    )
    return [exp_alpha(v - tau, alpha) for v in x]


def fenchel_young(x, y, alpha):
    """Omega*(x) + Omega(y) - <x, y> for Tsallis' entropy."""
    x, y = _numbers(x), _numbers(y)
    p = entmax(x, alpha)
    best = sum(a * b for a, b in zip(p, x, strict=True)) - tsallis(p, alpha)
    return best + tsallis(y, alpha) - sum(a * b for a, b in zip(x, y, strict=True))


def _entry(u, y, alpha):
    """Solution t of log_alpha(t) + (t - y) t^(alpha - 2) = u."""
    alpha = mpf(alpha)
    a = alpha - 1
    if y == 0:
        base = 1 + a * u
        return mp.exp(u - 1) if a == 0 else ((base / alpha) ** (1 / a) if base > 0 else mpf(0))
    if alpha == 2:
        return max((u + y + 1) / 2, mpf(0))
    if alpha == 1:
        return y / mp.lambertw(y * mp.exp(1 - u)).real
    v = _increasing_root(
        lambda v: (mp.exp(a * v) - 1) / a + mp.exp(a * v) - y * mp.exp((a - 1) * v) - u,
        mpf(-80),
        mpf(10),
    )
    return mp.exp(v)


def fitzpatrick(x, y, alpha):
    """Maximum over t of <t - y, x - phi'(t)> for Tsallis' entropy."""
    x, y = _numbers(x), _numbers(y)
    low = max(a + b for a, b in zip(x, y, strict=True)) - 1
    level = _increasing_root(
        lambda level: 1 - sum(_entry(a - level, b, alpha) for a, b in zip(x, y, strict=True)),
        low,
        low + len(x) + 2,
    )
    t = [_entry(a - level, b, alpha) for a, b in zip(x, y, strict=True)]

    def term(t, x, y):
        if t == 0:
            return -y * (x - level + 1 / (mpf(alpha) - 1)) if y else mpf(0)
        return (t - y) * (x - level - log_alpha(t, alpha))

    return sum(term(*entry) for entry in zip(t, x, y, strict=True))


def binary_fenchel_young(x, y, alpha):
    """Two-class loss of the scores (x, 0); alpha = 2 is the sparse one."""
    return fenchel_young([x, 0.0], [y, 1 - mpf(float(y))], alpha)


GENERATORS = {
    "kl": (lambda u: u * mp.log(u) - u + 1 if u else mpf(1), lambda v: mp.exp(v)),
    "chi2": (lambda u: (u - 1) ** 2 / 2, lambda v: max(1 + v, mpf(0))),
    "reverse_kl": (lambda u: -mp.log(u) + u - 1, lambda v: 1 / (1 - v)),
    "jensen_shannon": (
        lambda u: (u * mp.log(u) if u else 0) - (u + 1) * mp.log((u + 1) / 2),
        lambda v: mp.exp(v) / (2 - mp.exp(v)),
    ),
    "squared_hellinger": (lambda u: (mp.sqrt(u) - 1) ** 2, lambda v: (1 - v) ** -2),
    "neyman_chi2": (lambda u: (u - 1) ** 2 / (2 * u), lambda v: 1 / mp.sqrt(1 - 2 * v)),
}
STEEPEST = {"reverse_kl": 1, "squared_hellinger": 1, "neyman_chi2": mpf(1) / 2}


def f_divergence(x, y, q, name):
    """Fenchel-Young loss of sum q f(p/q)."""
    x, y, q = _numbers(x), _numbers(y), _numbers(q)
    f, inverse = GENERATORS[name]
    steepest = mp.log(2) if name == "jensen_shannon" else STEEPEST.get(name, mpf(60))

    def mass(t):
        values = []
        for a, w in zip(x, q, strict=True):
            if a - t >= steepest:
                return mpf(10) ** 9
            values.append(w * inverse(a - t))
        return sum(values)

    low = max(x) - steepest
    tau = _increasing_root(lambda t: 1 - mass(t), low, max(x) + 40)
    p = [w * inverse(a - tau) for a, w in zip(x, q, strict=True)]

    def divergence(p):
        return sum(w * f(a / w) for a, w in zip(p, q, strict=True))

    best = sum(a * b for a, b in zip(p, x, strict=True)) - divergence(p)
    return best + divergence(y) - sum(a * b for a, b in zip(x, y, strict=True))
