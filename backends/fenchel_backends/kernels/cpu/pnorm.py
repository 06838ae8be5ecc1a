"""Isotonic regression in the p-norm loss: blocks and fit.

The value of a block is the root v of ``sum_i w_i sign(v - y_i) |v - y_i|^(p-1) = 0``. Neighbours
that violate the order are pooled in passes over alternate pairs, so that an entry takes part in few
solves; the value of a pooled block lies between the two it comes from.
"""

import numpy as np

from .extrema import extrema
from .isotonic import singletons
from .jit import Rows, compiled, own, reducing
from .powers import power

__all__ = ["pnorm_isotonic_blocks"]

_HALVINGS = 200
_LARGEST = 1e300  # the power of an infinite gap would not be a number


@reducing
def _slope(y: Rows, weights: Rows, v: float, p: float) -> tuple[float, float]:
    """Derivative of the loss of a block at v, and its second derivative."""
    first, second = 0.0, 0.0
    if p == 3.0:
        for i in range(y.size):
            gap = v - y[i]
            curve = weights[i] * abs(gap)
            first += curve * gap
            second += curve
    elif p == 4.0:
        for i in range(y.size):
            gap = v - y[i]
            curve = weights[i] * (gap * gap)
            first += curve * gap
            second += curve
    elif p == 1.5:
        for i in range(y.size):
            gap = v - y[i]
            curve = weights[i] / np.sqrt(abs(gap)) if gap != 0.0 else 0.0
            first += curve * gap
            second += curve
    else:
        for i in range(y.size):
            gap = v - y[i]
            size = min(abs(gap), _LARGEST)
            curve = weights[i] * power(size, p - 2.0) if gap != 0.0 else 0.0
            first += curve * gap
            second += curve
    return first, (p - 1.0) * second


@compiled
def _block_value(y: Rows, weights: Rows, p: float, low: float, high: float) -> float:
    """Minimiser of the loss of a block, which lies in [low, high]."""
    v, before, last = 0.5 * (low + high), high - low, high - low
    for _ in range(_HALVINGS):
        first, second = _slope(y, weights, v, p)
        if first == 0.0:
            break
        if first < 0.0:
            low = v
        else:
            high = v
        moved = v - first / second
        # for p < 2 Newton's step overshoots an entry near the root to and fro: halve instead
        if not low < moved < high or abs(moved - v) > 0.5 * before:
            moved = low + 0.5 * (high - low)
        before, last = last, abs(moved - v)
        if last <= 2.2e-16 * abs(v) or not low < moved < high:
            return moved
        v = moved
    return v


@compiled
def _joined(
    y: Rows, weights: Rows, p: float, values: Rows, masses: Rows, starts: Rows, j: int, end: int
) -> None:
    """Pool blocks j and j + 1 into j, which then reaches up to ``end``."""
    start = int(starts[j])
    if masses[j] == 0.0:
        values[j] = values[j + 1]
    elif masses[j + 1] > 0.0:
        low, high = min(values[j], values[j + 1]), max(values[j], values[j + 1])
        values[j] = _block_value(y[start:end], weights[start:end], p, low, high)
    masses[j] += masses[j + 1]


@compiled
def _pool(y: Rows, weights: Rows, p: float, values: Rows, masses: Rows, starts: Rows) -> int:
    """Pool an increasing fit in place; the number of blocks."""
    n = y.size
    m, offset, quiet = n, 0, 0
    while quiet < 2:
        w, j = offset, offset
        while j < m:
            values[w], masses[w], starts[w] = values[j], masses[j], starts[j]
            if j + 1 < m:
                values[w + 1], masses[w + 1] = values[j + 1], masses[j + 1]
                following = starts[j + 1]
                end = int(starts[j + 2]) if j + 2 < m else n
                if values[w] > values[w + 1] or masses[w] == 0.0 or masses[w + 1] == 0.0:
                    _joined(y, weights, p, values, masses, starts, w, end)
                else:
                    starts[w + 1] = following
                    w += 1
            w += 1
            j += 2
        # two passes in a row that pool nothing have looked at every pair
        quiet = quiet + 1 if w == m else 0
        m, offset = w, 1 - offset if w > 1 else 0
    return m


@compiled
def _broken(y: Rows, weights: Rows) -> bool:
    low, high = extrema(y)
    least, most = extrema(weights)
    return bool(np.isnan(low) or np.isnan(high) or np.isnan(least) or np.isnan(most))


@compiled
def pnorm_isotonic_blocks(y: Rows, weights: Rows, params: Rows, blocks: Rows, fit: Rows) -> None:
    """Blocks and fit of each row; params: p, increasing."""
    n = y.shape[1]
    row, values, masses, starts = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for r in range(y.shape[0]):
        if _broken(y[r], weights[r]):
            singletons(blocks[r])
            fit[r] = np.nan
            continue
        sign = 1.0 if own(params, r, 1) != 0.0 else -1.0
        shift = np.float64(y[r, 0]) if np.isfinite(y[r, 0]) else 0.0
        for i in range(n):
            row[i] = sign * (y[r, i] - shift)
            values[i], masses[i], starts[i] = row[i], weights[r, i], i
        m = _pool(row, weights[r], max(own(params, r, 0), 1.0), values, masses, starts)
        for b in range(m):
            start, stop = int(starts[b]), int(starts[b + 1]) if b + 1 < m else n
            for i in range(start, stop):
                blocks[r, i] = start
                fit[r, i] = shift + sign * values[b] if stop > start + 1 else y[r, i]
