"""Weighted isotonic regression in the squared loss: blocks."""

import numpy as np

from .extrema import extrema
from .isotonic import singletons, write_blocks
from .jit import Rows, compiled, own
from .pooling import pool_weighted

__all__ = ["weighted_isotonic_blocks"]


@compiled
def _pooled(y: Rows, weights: Rows, sign: float, z: Rows) -> int:
    """Pool a row into (sum, weight, count); the number of blocks, -1 for a row with NaN."""
    low, high = extrema(y)
    lightest, heaviest = extrema(weights)
    if np.isnan(low) or np.isnan(high) or np.isnan(lightest) or np.isnan(heaviest):
        return -1
    finite = -np.inf < low and high < np.inf and heaviest < np.inf
    shift = np.float64(y[0]) if finite else 0.0
    # relative to the heaviest: the products that compare two means cannot underflow together
    scale = 1.0 / heaviest if finite and heaviest > 0.0 else 1.0
    for i in range(y.size):
        weight = weights[i] * scale
        z[3 * i] = sign * (y[i] - shift) * weight if weight != 0.0 else 0.0
        z[3 * i + 1] = weight
        z[3 * i + 2] = 1.0
    return pool_weighted(z, y.size, finite)


@compiled
def weighted_isotonic_blocks(y: Rows, weights: Rows, params: Rows, blocks: Rows) -> None:
    """Blocks of each row; params: increasing. An entry of weight 0 joins a neighbour's block."""
    z = np.empty(3 * y.shape[1])
    for r in range(y.shape[0]):
        sign = -1.0 if own(params, r, 0) != 0.0 else 1.0
        m = _pooled(y[r], weights[r], sign, z)
        if m < 0:
            singletons(blocks[r])
        else:
            write_blocks(z, 3, m, blocks[r])
