"""Soft ranks and soft sort in the squared regularization, from the ascending order of a row.

In ascending order, with s = x / l, the soft rank is ``s - v`` where v is the increasing fit of
``s - (1, ..., n)``, and the soft sort is ``a / l - v`` where v is the increasing fit of
``a / l - x_a`` (arXiv 2002.08871). A descending sort is the same row read backwards. Blocks are
given in ascending order.
"""

import numpy as np

from .isotonic import singletons
from .jit import Rows, compiled, own
from .pooling import pool

__all__ = ["fused_soft_rank", "fused_soft_rank_vjp", "fused_soft_sort", "fused_soft_sort_vjp"]

_TINY = 1e-290  # stands for a temperature of 0


@compiled
def _gather(x: Rows, order: Rows, s: Rows) -> tuple[int, int]:
    """Range of the finite entries in order, which are written less the first; (0, -1) for a NaN."""
    low, high, total = 0, x.size, 0.0
    while low < high and x[order[low]] == -np.inf:
        low += 1
    while low < high and x[order[high - 1]] == np.inf:
        high -= 1
    for a in range(low, high):
        s[a] = x[order[a]] - np.float64(x[order[low]])
        total += s[a]
    return (low, high) if np.isfinite(total) else (0, -1)


@compiled
def _write_ranks(s: Rows, z: Rows, m: int, start: int, order: Rows, y: Rows, blocks: Rows) -> None:
    for b in range(m):
        count = z[2 * b + 1]
        stop = start + int(count)
        if stop == start + 1:
            # exactly the hard rank
            y[order[start]] = start + 1.0
            blocks[start] = start
        else:
            # z holds the pooled sums of a - s
            value = z[2 * b] / count
            for a in range(start, stop):
                y[order[a]] = s[a] + value + 1.0
                blocks[a] = start
        start = stop


@compiled
def fused_soft_rank(x: Rows, order: Rows, params: Rows, y: Rows, blocks: Rows) -> None:
    """Ascending soft ranks of each row; params: temperature."""
    n = x.shape[1]
    s, shifted, z = np.empty(n), np.empty(n), np.empty(2 * n)
    for r in range(x.shape[0]):
        low, high = _gather(x[r], order[r], s)
        if high < 0:
            y[r] = np.nan
            singletons(blocks[r])
            continue
        if high - low < n:
            # infinite entries rank first and last, apart from the others, ties at their mean place
            singletons(blocks[r])
            for a in range(n):
                y[r, order[r, a]] = 0.5 * (low + 1.0) if a < low else 0.5 * (high + n + 1.0)
        if low == high:
            continue
        scale = 1.0 / max(own(params, r, 0), _TINY)
        for a in range(low, high):
            s[a] *= scale
            shifted[a] = a - s[a]
        m = pool(shifted[low:high], 0.0, 1.0, True, z)
        _write_ranks(s, z, m, low, order[r], y[r], blocks[r])


@compiled
def fused_soft_rank_vjp(
    g: Rows, x: Rows, order: Rows, params: Rows, y: Rows, blocks: Rows, gx: Rows
) -> None:
    """Pullback of the ranks: the cotangent less its mean over each block, over the temperature."""
    n = g.shape[1]
    for r in range(g.shape[0]):
        if np.isnan(y[r, order[r, 0]]):
            gx[r] = np.nan
            continue
        scale, start = 1.0 / max(own(params, r, 0), _TINY), 0
        while start < n:
            total, stop = 0.0, start
            while stop < n and blocks[r, stop] == start:
                total += g[r, order[r, stop]]
                stop += 1
            mean = total / (stop - start)
            for a in range(start, stop):
                i = order[r, a]
                gx[r, i] = (g[r, i] - mean) * scale if stop > start + 1 else 0.0
            start = stop


@compiled
def _write_sorted(
    x: Rows, s: Rows, z: Rows, m: int, order: Rows, scale: float, back: bool, y: Rows, blocks: Rows
) -> None:
    n, start, first = s.size, 0, np.float64(x[order[0]])
    for b in range(m):
        count = z[2 * b + 1]
        stop = start + int(count)
        mean = 0.0
        for a in range(start, stop):
            mean += s[a]
        mean /= count
        middle = 0.5 * (count - 1.0)
        for a in range(start, stop):
            value = first + (mean + scale * (a - start - middle))
            if stop == start + 1:
                value = np.float64(x[order[a]])
            y[n - 1 - a if back else a] = value
            blocks[a] = start
        start = stop


@compiled
def fused_soft_sort(x: Rows, order: Rows, params: Rows, y: Rows, blocks: Rows) -> None:
    """Soft sort of each row; params: temperature, descending."""
    n = x.shape[1]
    s, shifted, z = np.empty(n), np.empty(n), np.empty(2 * n)
    for r in range(x.shape[0]):
        low, high = _gather(x[r], order[r], s)
        if high - low < n:
            y[r] = np.nan
            singletons(blocks[r])
            continue
        length = max(own(params, r, 0), _TINY)
        for a in range(n):
            # times l, so that a temperature of 0 needs no case
            shifted[a] = a - length * s[a]
        m = pool(shifted, 0.0, -1.0, True, z)
        back = own(params, r, 1) != 0.0
        _write_sorted(x[r], s, z, m, order[r], 1.0 / length, back, y[r], blocks[r])


@compiled
def fused_soft_sort_vjp(
    g: Rows, x: Rows, order: Rows, params: Rows, y: Rows, blocks: Rows, gx: Rows
) -> None:
    """Pullback of the soft sort: the mean of the cotangent over each block."""
    n = g.shape[1]
    for r in range(g.shape[0]):
        if np.isnan(y[r, 0]):
            gx[r] = np.nan
            continue
        back, start = own(params, r, 1) != 0.0, 0
        while start < n:
            total, stop = 0.0, start
            while stop < n and blocks[r, stop] == start:
                total += g[r, n - 1 - stop if back else stop]
                stop += 1
            for a in range(start, stop):
                gx[r, order[r, a]] = total / (stop - start)
            start = stop
