"""Losses by their textbook definitions in 130 digits: no formula of the kernels is used here."""

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 130

_ALPHAS = {"logistic": 1.0, "sparsemax": 2.0, "entmax15": 1.5}


def halve(f, low, high):
    """Root of a decreasing function, by halving alone."""
    for _ in range(430):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return (low + high) / 2


def prediction(theta, alpha):
    """The maximiser of <p, theta> - Omega(p)."""
    top = max(theta)
    if alpha == 1:
        shares = [mpmath.exp(v - top) for v in theta]
        return [p / mpmath.fsum(shares) for p in shares]
    a = mpf(alpha) - 1

    def shares_at(tau):
        return [max(a * (v - top) - tau, mpf(0)) ** (1 / a) for v in theta]

    return shares_at(halve(lambda tau: mpmath.fsum(shares_at(tau)) - 1, mpf(-1), mpf(0)))


def entropy(p, alpha):
    """Tsallis' Omega."""
    if alpha == 1:
        return mpmath.fsum(v * mpmath.log(v) for v in p if v > 0)
    alpha = mpf(alpha)
    return (mpmath.fsum(v**alpha for v in p if v > 0) - mpmath.fsum(p)) / (alpha * (alpha - 1))


def inner(a, b):
    return mpmath.fsum(v * w for v, w in zip(a, b, strict=True))


def fenchel_young(theta, y, alpha):
    """Omega*(theta) + Omega(y) - <theta, y>, and its gradient."""
    p = prediction(theta, alpha)
    value = inner(p, theta) - entropy(p, alpha) + entropy(y, alpha) - inner(theta, y)
    return value, [v - w for v, w in zip(p, y, strict=True)]


def fitzpatrick(theta, y, alpha):
    """The maximum over y' of <y' - y, theta - grad Psi(y')>, and its gradient."""
    if alpha == 2:
        star = prediction([(v + w) / 2 for v, w in zip(theta, y, strict=True)], 2)
        slopes = star
    else:
        star = _logistic_maximiser(theta, y)
        slopes = [mpmath.log(v) for v in star]
    gap = [v - w for v, w in zip(star, y, strict=True)]
    return inner(gap, theta) - inner(gap, slopes), gap


def _logistic_maximiser(theta, y):
    def star_at(bound):
        return [
            w / mpmath.lambertw(mpmath.exp(bound - v + mpmath.log(w))).real
            if w > 0
            else mpmath.exp(v - bound)
            for v, w in zip(theta, y, strict=True)
        ]

    lse = max(theta) + mpmath.log(mpmath.fsum(mpmath.exp(v - max(theta)) for v in theta))
    return star_at(halve(lambda bound: mpmath.fsum(star_at(bound)) - 1, lse, lse + 1))


def exact(name, theta, y, alpha=None):
    """Loss and gradient of one row, rounded to double precision at the very end."""
    kind = name.removeprefix("fitzpatrick_")
    alpha = _ALPHAS.get(kind, alpha)
    theta, y = [mpf(float(v)) for v in theta], [mpf(float(v)) for v in y]
    value, gradient = (fitzpatrick if "fitzpatrick" in name else fenchel_young)(theta, y, alpha)
    return float(value), np.array([float(v) for v in gradient])
