"""Isotonic regression in the squared loss: blocks, fit and pullback.

The fit of a block is its mean, and the pullback the mean of the cotangent. An increasing fit of y
is the decreasing fit of -y, negated.
"""

import numpy as np

from .extrema import extrema
from .jit import Rows, at, compiled, own
from .pooling import pool

__all__ = ["fused_isotonic", "fused_isotonic_vjp", "isotonic_blocks", "singletons", "write_blocks"]


@compiled
def singletons(blocks: Rows) -> None:
    """Every entry its own block: the answer for a row with NaN."""
    for i in range(blocks.size):
        blocks[i] = i


@compiled
def write_blocks(z: Rows, width: int, m: int, blocks: Rows) -> None:
    """Block id of each entry: the index of the first entry of its block."""
    start = 0
    for b in range(m):
        stop = start + int(z[at(width * b + width - 1)])
        for i in range(start, stop):
            blocks[at(i)] = start
        start = stop


@compiled
def _pooled(y: Rows, increasing: float, z: Rows) -> tuple[int, float, float]:
    """Pool a row: number of blocks (-1 for a row with NaN), shift and sign of the sums."""
    low, high = extrema(y)
    if np.isnan(low) or np.isnan(high):
        return -1, 0.0, 1.0
    finite = -np.inf < low and high < np.inf
    # sums of differences from the first entry keep the digits of rows with a large offset
    shift = np.float64(y[0]) if finite else 0.0
    sign = -1.0 if increasing != 0.0 else 1.0
    return pool(y, shift, sign, finite, z), shift, sign


@compiled
def isotonic_blocks(y: Rows, params: Rows, blocks: Rows) -> None:
    """Blocks of each row; params: increasing."""
    z = np.empty(2 * y.shape[1])
    for r in range(y.shape[0]):
        m, _, _ = _pooled(y[r], own(params, r, 0), z)
        if m < 0:
            singletons(blocks[r])
        else:
            write_blocks(z, 2, m, blocks[r])


@compiled
def _write_fit(
    y: Rows, z: Rows, m: int, shift: float, sign: float, fit: Rows, blocks: Rows
) -> None:
    start = 0
    for b in range(m):
        stop = start + int(z[at(2 * b + 1)])
        if stop == start + 1:
            # a block of one entry keeps its bits
            fit[at(start)] = y[at(start)]
            blocks[at(start)] = start
        else:
            value = shift + sign * z[at(2 * b)] / z[at(2 * b + 1)]
            for i in range(start, stop):
                fit[at(i)] = value
                blocks[at(i)] = start
        start = stop


@compiled
def fused_isotonic(y: Rows, params: Rows, fit: Rows, blocks: Rows) -> None:
    """Fit and blocks of each row; params: increasing."""
    z = np.empty(2 * y.shape[1])
    for r in range(y.shape[0]):
        m, shift, sign = _pooled(y[r], own(params, r, 0), z)
        if m < 0:
            singletons(blocks[r])
            fit[r] = np.nan
        else:
            _write_fit(y[r], z, m, shift, sign, fit[r], blocks[r])


@compiled
def spread_means(g: Rows, blocks: Rows, out: Rows) -> None:
    """Mean of g over each block."""
    start, n = 0, g.size
    while start < n:
        total, stop = np.float64(g[at(start)]), start + 1
        while stop < n and blocks[at(stop)] == start:
            total += g[at(stop)]
            stop += 1
        mean = total / (stop - start)
        for i in range(start, stop):
            out[at(i)] = mean
        start = stop


@compiled
def fused_isotonic_vjp(g: Rows, y: Rows, params: Rows, fit: Rows, blocks: Rows, gx: Rows) -> None:
    """Pullback: the mean of the cotangent over each block, row by row."""
    for r in range(g.shape[0]):
        if np.isnan(fit[r, 0]):
            gx[r] = np.nan
        else:
            spread_means(g[r], blocks[r], gx[r])
