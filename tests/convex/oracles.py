"""Slow and plain: isotonic fits by the min-max formula, and derivatives by differences."""

from itertools import permutations

import numpy as np
from scipy.optimize import brentq, nnls
from scipy.special import logsumexp

# Coefficients of the central difference of order 8 for the first derivative.
STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}


def mean(y, w):
    return np.sum(w * y) / np.sum(w)


def log_ratio(y, w):
    return logsumexp(y) - logsumexp(w)


def pnorm_centre(p):
    def centre(y, w):
        if np.ptp(y) == 0:
            return y[0]
        slope = lambda v: np.sum(w * np.sign(v - y) * np.abs(v - y) ** (p - 1))
        return brentq(slope, y.min(), y.max(), xtol=1e-15, rtol=1e-15)

    return centre


BLOCK_VALUES = {"squared": mean, "kl": log_ratio, "pnorm": pnorm_centre(1.5)}


def isotonic(y, w=None, value=mean, increasing=True):
    """v_i = max over a <= i of min over b >= i of the value of the block a..b."""
    w = (np.zeros_like(y) if value is log_ratio else np.ones_like(y)) if w is None else w
    if not increasing:
        return isotonic(y[::-1], w[::-1], value)[::-1]
    n = len(y)
    table = np.array(
        [
            [value(y[a : b + 1], w[a : b + 1]) if a <= b else np.nan for b in range(n)]
            for a in range(n)
        ]
    )
    return np.array([max(table[a, i:].min() for a in range(i + 1)) for i in range(n)])


def rows(function, *arrays):
    """Apply a function of 1-d arrays to each row."""
    shape = arrays[0].shape
    flat = [np.reshape(a, (-1, shape[-1])) for a in arrays]
    return np.stack([function(*row) for row in zip(*flat, strict=True)]).reshape(shape)


def difference(function, x, direction, step=2e-3):
    """Directional derivative by the central difference of order 8."""
    return sum(
        c / step * (function(x + i * step * direction) - function(x - i * step * direction))
        for i, c in STENCIL.items()
    )


def jacobian(function, x, step=2e-3):
    """Jacobian of a function of a 1-d array, one column an entry."""
    return np.stack([difference(function, x, e, step) for e in np.eye(len(x))], axis=-1)


def hull_projection(z, w):
    """Nearest point of the hull of the permutations of w, as a non-negative least squares."""
    vertices = np.array(list(permutations(w)), dtype=float)
    heavy = 1e4  # weight of the equation that the coefficients sum to one
    matrix = np.vstack([vertices.T, heavy * np.ones(len(vertices))])
    coefficients, _ = nnls(matrix, np.append(z, heavy), maxiter=20000)
    return coefficients @ vertices / coefficients.sum()
