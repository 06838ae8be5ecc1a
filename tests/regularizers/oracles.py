"""Independent routes: generators by their definitions, roots by bisection in 60 digits."""

import mpmath
import numpy as np
from mpmath import mpf

DIVERGENCES = (
    "kl",
    "reverse_kl",
    "jensen_shannon",
    "chi2",
    "neyman_chi2",
    "squared_hellinger",
)


def generator(name, alpha=None):
    """Return f of a number of mpmath."""
    alpha = None if alpha is None else mpf(float(alpha))
    log, sqrt = mpmath.log, mpmath.sqrt
    return {
        "kl": lambda u: (u * log(u) if u else mpf(0)) - u + 1,
        "reverse_kl": lambda u: u - 1 - log(u),
        "jensen_shannon": lambda u: (u * log(u) if u else mpf(0)) - (u + 1) * log((u + 1) / 2),
        "chi2": lambda u: (u - 1) ** 2 / 2,
        "neyman_chi2": lambda u: (u - 1) ** 2 / (2 * u),
        "squared_hellinger": lambda u: (sqrt(u) - 1) ** 2,
        "alpha": lambda u: (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1)),
    }[name]


def inverse_slope(name, alpha=None):
    """Return (f*)' of a number of mpmath: infinite beyond the range of f', 0 below."""
    if name == "alpha":
        exponent = mpf(float(alpha)) - 1

        def power(v):
            base = 1 + exponent * v
            if base <= 0:
                return mpf(0) if exponent > 0 else mpmath.inf
            return base ** (1 / exponent)

        return power
    exp = mpmath.exp
    return {
        "kl": exp,
        "reverse_kl": lambda v: 1 / (1 - v) if v < 1 else mpmath.inf,
        "jensen_shannon": lambda v: exp(v) / (2 - exp(v)) if exp(v) < 2 else mpmath.inf,
        "chi2": lambda v: max(1 + v, mpf(0)),
        "neyman_chi2": lambda v: 1 / mpmath.sqrt(1 - 2 * v) if 2 * v < 1 else mpmath.inf,
        "squared_hellinger": lambda v: 1 / (1 - v) ** 2 if v < 1 else mpmath.inf,
    }[name]


def f_argmax(x, name, q=None, alpha=None, digits=60):
    """Return the maximiser for one row, and tau, by bisection."""
    q = np.ones(len(x)) if q is None else q
    with mpmath.workdps(digits):
        scores, weights = [mpf(float(v)) for v in x], [mpf(float(v)) for v in q]
        inverse = inverse_slope(name, alpha)

        def point(tau):
            return [w * inverse(v - tau) for v, w in zip(scores, weights, strict=True)]

        low, high = max(scores) - 10, max(scores) + 10
        while sum(point(low)) < 1:
            low -= 2 * (high - low)
        while sum(point(high)) > 1:
            high += 2 * (high - low)
        for _ in range(int(digits * 3.4)):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(point(middle)) > 1 else (low, middle)
        return np.asarray([float(p) for p in point(high)]), float(high)


def divergence(p, name, q=None, alpha=None):
    """Return D_f(p, q) of one row."""
    q = np.ones(len(p)) if q is None else q
    with mpmath.workdps(60):
        f = generator(name, alpha)
        terms = [
            mpf(float(b)) * f(mpf(float(a)) / mpf(float(b))) for a, b in zip(p, q, strict=True)
        ]
        return float(sum(terms))
