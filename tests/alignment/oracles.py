"""Pair losses in 40 digits, by the textbook formulas."""

from mpmath import mp, mpf

mp.dps = 40


def sigmoid(t):
    return 1 / (1 + mp.exp(-t))


def softplus(t):
    return mp.log1p(mp.exp(t))


def _dpo(a, b, beta):
    return softplus(-beta * (a - b))


def _robust(a, b, beta, label_smoothing):
    e, z = mpf(label_smoothing), beta * (a - b)
    return ((1 - e) * softplus(-z) - e * softplus(z)) / (1 - 2 * e)


def _exo(a, b, beta, label_smoothing):
    e, q = mpf(label_smoothing), sigmoid(beta * (a - b))
    return q * (mp.log(q) - mp.log(1 - e)) + (1 - q) * (mp.log1p(-q) - mp.log(e))


def _nca(a, b, beta):
    return softplus(-beta * a) + softplus(beta * a) / 2 + softplus(beta * b) / 2


def _discopop(a, b, beta, temperature=0.05):
    z = beta * (a - b)
    m = sigmoid(z / mpf(temperature))
    return (1 - m) * softplus(-z) + m * mp.exp(-z)


def _kto(a, b, beta, mismatched=(0.0,), desirable_weight=1.0, undesirable_weight=1.0):
    zero = max(mpf(0), sum(map(mpf, mismatched)) / len(mismatched))
    desirable = mpf(desirable_weight) * (1 - sigmoid(beta * (a - zero)))
    return desirable + mpf(undesirable_weight) * (1 - sigmoid(beta * (zero - b)))


LOSSES = {
    "dpo": _dpo,
    "sigmoid_norm": _dpo,
    "robust": _robust,
    "ipo": lambda a, b, beta: (a - b - 1 / (2 * beta)) ** 2,
    "slic": lambda a, b, beta: max(mpf(0), 1 - beta * (a - b)),
    "squared_hinge": lambda a, b, beta: max(mpf(0), 1 - beta * (a - b)) ** 2 / 2,
    "simpo": lambda a, b, beta, gamma=0.0: softplus(-(beta * (a - b) - mpf(gamma))),
    "exo": _exo,
    "nca": _nca,
    "bco": lambda a, b, beta: softplus(-beta * a) + softplus(beta * b),
    "sppo": lambda a, b, beta: (a - 1 / (2 * beta)) ** 2 + (b + 1 / (2 * beta)) ** 2,
    "apo_zero": lambda a, b, beta: 1 - sigmoid(beta * a) + sigmoid(beta * b),
    "apo_down": lambda a, b, beta: sigmoid(beta * a) + 1 - sigmoid(beta * (a - b)),
    "discopop": _discopop,
    "kto": _kto,
}


def mixed(name, a, b, beta, prob=1.0, **options):
    """The mean of a loss over labels."""
    a, b, beta, p = mpf(float(a)), mpf(float(b)), mpf(float(beta)), mpf(float(prob))
    loss = LOSSES[name]
    return p * loss(a, b, beta, **options) + (1 - p) * loss(b, a, beta, **options)


def slopes(name, a, b, beta, prob=1.0, **options):
    """Derivatives in a and b, by central differences in 120 digits."""
    with mp.workdps(120):
        h = mpf(10) ** -40

        def at(x, y):
            p, scale = mpf(float(prob)), mpf(float(beta))
            loss = LOSSES[name]
            return p * loss(x, y, scale, **options) + (1 - p) * loss(y, x, scale, **options)

        a, b = mpf(float(a)), mpf(float(b))
        first = (at(a + h, b) - at(a - h, b)) / (2 * h)
        second = (at(a, b + h) - at(a, b - h)) / (2 * h)
    return float(first), float(second)


def _entropy(p):
    return sum(q * mp.log(q) for q in (p, 1 - p) if q > 0)


def _best(f, low=0, high=1):
    """Maximum of a concave function on an interval, by golden sections."""
    low, high, ratio = mpf(low), mpf(high), (mp.sqrt(5) - 1) / 2
    for _ in range(110):
        gap = ratio * (high - low)
        left, right = high - gap, low + gap
        low, high = (low, right) if f(left) > f(right) else (left, high)
    return f((low + high) / 2)


def fenchel_young(z, p, omega):
    """sup_q (q z - omega(q)) + omega(p) - p z."""
    z, p = mpf(float(z)), mpf(float(p))
    return _best(lambda q: q * z - omega(q)) + omega(p) - p * z


def fitzpatrick(z, p, slope):
    """sup_q (q - p)(z - omega'(q))."""
    z, p = mpf(float(z)), mpf(float(p))
    return _best(lambda q: (q - p) * (z - slope(q)), mpf(10) ** -38, 1 - mpf(10) ** -38)


FENCHEL = {
    "fy_logistic": lambda z, p: fenchel_young(z, p, _entropy),
    "fy_sparse": lambda z, p: fenchel_young(z, p, lambda q: q * q - q),
    "fitzpatrick_logistic": lambda z, p: fitzpatrick(z, p, lambda q: mp.log(q) - mp.log1p(-q)),
    "fitzpatrick_sparse": lambda z, p: fitzpatrick(z, p, lambda q: 2 * q - 1),
}
