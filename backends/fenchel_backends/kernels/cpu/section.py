"""Multiplier of a box section: a tau between the two points around the root of <w, y(tau)> = c.

y(tau) = clip(x - tau w, lower, upper) bends at 2n points, where an entry meets a bound; between two
neighbours <w, y> is linear, and it never increases. Newton's method goes to the piece of the root.
Only then is the row asked for the points beside it: nothing is sorted, and the passes are few.

Points and brackets are integers in the order of the floats (see `extrema.py`): their minimum
and maximum are vector reductions, and their middle halves the floats between two bounds, so that
the number of passes is bounded whatever the scale of the points.
"""

import numpy as np

from .jit import Rows, adding, at, compiled, own, reducing

__all__ = ["section_start"]

_PASSES = 600
_FREE_PASSES = 16  # from then on every fourth pass halves a bracket, or ends the search
_LOW_BITS = 2**63 - 1


@compiled
def _key(value: float, cell: Rows) -> int:
    """Integer whose order is that of the floats; `cell` is scratch for one."""
    cell[0] = value + 0.0  # one zero
    bits = cell.view(np.int64)[0]
    return int(bits ^ ((bits >> 63) & _LOW_BITS))


@compiled
def _value(key: int, cell: Rows) -> float:
    cell.view(np.int64)[0] = key ^ ((key >> 63) & _LOW_BITS)
    return float(cell[0])


@compiled
def _write_keys(x: Rows, lower: Rows, upper: Rows, w: Rows, points: Rows) -> bool:
    """Write the keys of all points, inf for entries that tau does not move; False at a NaN."""
    n, broken = x.size, 0
    for i in range(n):
        still = (w[i] == 0.0) | (lower[i] == upper[i])
        first, last = (x[i] - lower[i]) / w[i], (x[i] - upper[i]) / w[i]
        points[at(i)] = np.inf if still | (first != first) else first + 0.0
        points[at(n + i)] = np.inf if still | (last != last) else last + 0.0
        broken += (x[i] != x[i]) | (lower[i] != lower[i]) | (upper[i] != upper[i]) | (w[i] != w[i])
    keys = points.view(np.int64)
    for i in range(2 * n):
        keys[i] ^= (keys[i] >> 63) & _LOW_BITS
    return broken == 0


@adding
def _sums(x: Rows, lower: Rows, upper: Rows, w: Rows, tau: float) -> tuple[float, float, float]:
    """Return <w, y>, the sum of its absolute terms, and the square of the free weights."""
    total, size, slope = 0.0, 0.0, 0.0
    for i in range(x.size):
        weight = np.float64(w[i])
        height = x[i] - tau * weight
        y = min(max(height, np.float64(lower[i])), np.float64(upper[i]))
        term = weight * y if weight != 0.0 else 0.0
        total += term
        size += abs(term)
        slope += weight * weight if (height > lower[i]) & (height < upper[i]) else 0.0
    return total, size, slope


@compiled
def _excess(
    x: Rows, lower: Rows, upper: Rows, w: Rows, c: float, tau: float
) -> tuple[float, float, float]:
    """Return <w, y> - c, what of it is rounding, and its slope."""
    total, size, slope = _sums(x, lower, upper, w, tau)
    epsilon = 1.1920928955078125e-07 if x.itemsize == 4 else 2.220446049250313e-16
    return total - c, 8.0 * epsilon * (size + abs(c)), slope


@reducing
def _without_bounds(x: Rows, w: Rows, c: float) -> float:
    """Multiplier where no bound binds; 0 where there is none."""
    total, square = 0.0, 0.0
    for i in range(x.size):
        total += np.float64(w[i]) * x[i]
        square += np.float64(w[i]) * w[i]
    tau = (total - c) / square
    return tau if abs(tau) < np.inf else 0.0


@compiled
def _largest_below(keys: Rows, bound: int, least: int) -> int:
    found = least
    for key in keys:
        found = max(found, key if key < bound else least)
    return found


@compiled
def _least_from(keys: Rows, bound: int, largest: int) -> int:
    found = largest
    for key in keys:
        found = min(found, key if key >= bound else largest)
    return found


@compiled
def _start_below(keys: Rows, least: int, cell: Rows) -> int:
    """Return a key below all finite points, for `least` that is -inf."""
    point = _value(_least_from(keys, least + 1, _key(np.inf, cell)), cell)
    return _key(point - 1.0 - abs(point), cell) if point < np.inf else least


@compiled
def _middle(low: int, high: int, count: int, cell: Rows) -> int:
    """Return the middle of the numbers first, and of the floats where that takes too long."""
    middle = 0.5 * _value(low, cell) + 0.5 * _value(high, cell)
    return _key(middle, cell) if count < 40 and np.isfinite(middle) else (low >> 1) + (high >> 1)


@compiled
def _neighbours(
    x: Rows, lower: Rows, upper: Rows, w: Rows, c: float, keys: Rows, cell: Rows
) -> tuple[int, int]:
    """Return the last point at which <w, y> is above c, and a bound on the next one, as keys.

    Above means by more than rounding. There is no point between the two.
    """
    low, high = _key(-np.inf, cell), _key(np.inf, cell)
    tau, probing, least = _without_bounds(x, w, c), False, low
    for count in range(_PASSES):
        over, slack, slope = _excess(x, lower, upper, w, c, tau)
        if over > slack:
            low = _key(tau, cell)
            if probing:  # nothing between this point and the upper bound
                break
        else:
            high = _key(tau, cell)
        if abs(over) > slack and slope > 0.0 and (count < _FREE_PASSES or count % 4 != 3):
            step = tau + over / slope
            if low < _key(step, cell) < high:
                tau, probing = step, False
                continue
        below = _largest_below(keys, high, least)
        if below <= low:
            return below, high
        if low == least:
            low = _start_below(keys, low, cell)
        middle = _middle(low, below, count, cell)
        probing = not (probing and low < middle < below)
        tau = _value(below if probing else middle, cell)
    return low, high


@compiled
def _between(first: float, last: float) -> float:
    if np.isfinite(first) and np.isfinite(last):
        return 0.5 * first + 0.5 * last
    if np.isfinite(first):
        return first + 1.0 + abs(first)
    return last - 1.0 - abs(last) if np.isfinite(last) else 0.0


@compiled
def _row_start(
    x: Rows, lower: Rows, upper: Rows, w: Rows, c: float, points: Rows, cell: Rows
) -> float:
    if not _write_keys(x, lower, upper, w, points) or np.isnan(c):
        return np.nan
    keys = points.view(np.int64)
    first, bound = _neighbours(x, lower, upper, w, c, keys, cell)
    most = _key(np.inf, cell)
    root = _least_from(keys, bound, most)
    if root < most:
        over, slack, _ = _excess(x, lower, upper, w, c, _value(root, cell))
        if abs(over) <= slack:  # the total may be met up to the next point
            first, root = root, _least_from(keys, root + 1, most)
    return _between(_value(first, cell), _value(root, cell))


@compiled
def section_start(
    x: Rows, lower: Rows, upper: Rows, weights: Rows, params: Rows, start: Rows
) -> None:
    """Multiplier strictly between the points around the root of each row; params: total."""
    points, cell = np.empty(2 * x.shape[1]), np.empty(1)
    for r in range(x.shape[0]):
        c = own(params, r, 0)
        start[r] = _row_start(x[r], lower[r], upper[r], weights[r], c, points, cell)
