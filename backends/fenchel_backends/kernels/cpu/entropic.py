"""Entropic isotonic regression: blocks of value ``lse(y_B) - lse(w_B)``.

In the linear domain a block is (sum of exp y, sum of exp w, count), shifted by the row maxima; a
row whose range leaves no room for products of such sums is pooled in the log domain.
"""

import numpy as np

from .extrema import extrema
from .isotonic import singletons, write_blocks
from .jit import Rows, compiled, own
from .pooling import pool_weighted

__all__ = ["kl_isotonic_blocks"]

_RANGE = 300.0  # exp(-2 * 300) is a normal float64


@compiled
def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    if low == -np.inf or high == np.inf:
        return high
    return float(high + np.log1p(np.exp(low - high)))


@compiled
def _log_pool(y: Rows, w: Rows, increasing: bool, z: Rows) -> int:
    """Stack pass on (lse y, lse w, count)."""
    top = 0
    for i in range(y.size):
        s, u, c = float(y[i]), float(w[i]), 1.0
        while top > 0:
            t, v = z[3 * top - 3], z[3 * top - 2]
            before, after = t - v, s - u
            if not (before > after if increasing else before < after):
                break
            s, u, c = _log_add(s, t), _log_add(u, v), c + z[3 * top - 1]
            top -= 1
        z[3 * top] = s
        z[3 * top + 1] = u
        z[3 * top + 2] = c
        top += 1
    return top


@compiled
def _pooled(y: Rows, w: Rows, increasing: bool, z: Rows) -> int:
    low, high = extrema(y)
    least, most = extrema(w)
    if np.isnan(low) or np.isnan(high) or np.isnan(least) or np.isnan(most):
        return -1
    if not (high - low <= _RANGE and most - least <= _RANGE):
        return _log_pool(y, w, increasing, z)
    # pooling makes the ratio fall: an increasing fit of exp(y - w) is a falling one of exp(w - y)
    for i in range(y.size):
        value, weight = np.exp(y[i] - high), np.exp(w[i] - most)
        z[3 * i] = weight if increasing else value
        z[3 * i + 1] = value if increasing else weight
        z[3 * i + 2] = 1.0
    return pool_weighted(z, y.size, True)


@compiled
def kl_isotonic_blocks(y: Rows, w: Rows, params: Rows, blocks: Rows) -> None:
    """Blocks of each row; params: increasing."""
    z = np.empty(3 * y.shape[1])
    for r in range(y.shape[0]):
        m = _pooled(y[r], w[r], own(params, r, 0) != 0.0, z)
        if m < 0:
            singletons(blocks[r])
        else:
            write_blocks(z, 3, m, blocks[r])
