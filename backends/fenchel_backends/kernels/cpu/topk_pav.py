"""Threshold of the soft top-k operators by pooling adjacent violators of a sorted row.

With weights 1, ..., 1, frac(k), 0, ..., 0 at most one block has several entries, and it holds the
position where the weights fall: the block grows outwards from there. Taking an entry moves the
value of the block towards it, so that "the neighbour still violates" holds up to some count of
entries taken and not after: each side is found by galloping and bisection.
"""

import numpy as np

from .conjugate import snapped
from .extrema import extrema
from .jit import Rows, compiled, own

__all__ = ["topk_pav_threshold"]

_TINY = 1e-290
_MAX_ITER = 200


@compiled
def _excess(
    s: Rows, v: float, weight: float, length: float, q: float, magnitude: bool
) -> tuple[float, float]:
    """Excess of a block of value v over its weight (signed powers), and its slope in v."""
    total, slope = 0.0, 0.0
    for value in s:
        u = (value - v) / length
        if u != 0.0:
            power = 1.0 if q == 2.0 else abs(u) ** (q - 2.0)
            total += power * u
            slope -= (q - 1.0) / length * power
    if not magnitude:
        return total - weight, slope
    return total / v - weight, (slope - total / v) / v


@compiled
def _value(s: Rows, weight: float, length: float, q: float, magnitude: bool) -> float:
    """Value of a block: the root of its excess."""
    high = float(s[0])
    if weight == 0.0 and s.size == 1:
        return high
    low = float(s[-1]) - length
    if magnitude:
        half = 0.5 * float(s[-1])
        low = max(min(half, (half / length) ** (q - 1.0)), 1e-300)
    v = 0.5 * (low + high)
    for _ in range(_MAX_ITER):
        excess, slope = _excess(s, v, weight, length, q, magnitude)
        if excess > 0.0:
            low = v
        else:
            high = v
        moved = v - excess / slope
        if magnitude and slope != 0.0:
            # Newton in 1/v, where the excess is a line for q = 2
            moved = v / (1.0 + excess / (slope * v))
        if not low < moved < high:
            moved = low + 0.5 * (high - low)
        if abs(moved - v) <= 2.2e-16 * abs(v):
            return moved
        v = moved
    return v


@compiled
def _weight(k: float, first: int, last: int) -> float:
    return min(max(k - first, 0.0), last - first + 1.0)


@compiled
def _violates(
    s: Rows, i: int, v: float, left: bool, length: float, q: float, magnitude: bool
) -> bool:
    """Whether entry i, alone beside a block of value v, lies on its wrong side."""
    if not left:
        return bool(s[i] > v)
    u = (s[i] - v) / length
    return bool(u <= 0.0 or u ** (q - 1.0) < (v if magnitude else 1.0))


@compiled
def _still_violates(
    s: Rows,
    k: float,
    first: int,
    last: int,
    taken: int,
    left: bool,
    length: float,
    q: float,
    magnitude: bool,
) -> bool:
    a, b = (first - taken, last) if left else (first, last + taken)
    beyond = a - 1 if left else b + 1
    if beyond < 0 or beyond >= s.size:
        return False
    v = _value(s[a : b + 1], _weight(k, a, b), length, q, magnitude)
    return _violates(s, beyond, v, left, length, q, magnitude)


@compiled
def _taken(
    s: Rows, k: float, first: int, last: int, left: bool, length: float, q: float, magnitude: bool
) -> int:
    """Entries that a block takes on one side."""
    if not _still_violates(s, k, first, last, 0, left, length, q, magnitude):
        return 0
    room = first if left else s.size - 1 - last
    low, high = 0, 1
    while high < room and _still_violates(s, k, first, last, high, left, length, q, magnitude):
        low, high = high, min(2 * high, room)
    while high - low > 1:
        middle = (low + high) // 2
        if _still_violates(s, k, first, last, middle, left, length, q, magnitude):
            low = middle
        else:
            high = middle
    return high


@compiled
def _row_threshold(
    s: Rows, k: float, length: float, q: float, magnitude: bool
) -> tuple[float, int]:
    """Threshold and number of entries pooled, of a sorted row with 0 < k < number of candidates."""
    pivot = int(np.ceil(k)) - 1
    first = last = pivot
    whole = k == np.floor(k)
    v = _value(s[first : last + 1], _weight(k, first, last), length, q, magnitude)
    if whole and not _violates(s, pivot + 1, v, False, length, q, magnitude):
        # already hard: any number between the two values will do
        return 0.5 * (v + s[pivot + 1]), 0
    for _ in range(2 * s.size):
        left = _taken(s, k, first, last, True, length, q, magnitude)
        first -= left
        right = _taken(s, k, first, last, False, length, q, magnitude)
        last += right
        if left + right == 0:
            break
    v = _value(s[first : last + 1], _weight(k, first, last), length, q, magnitude)
    return v, last - first


@compiled
def topk_pav_threshold(s: Rows, params: Rows, threshold: Rows, merges: Rows) -> None:
    """Threshold and merges of each row, sorted descending; params: k, temperature, q, magnitude."""
    for r in range(s.shape[0]):
        k, length = own(params, r, 0), max(own(params, r, 1), _TINY)
        q, magnitude = snapped(own(params, r, 2), s.itemsize), own(params, r, 3) != 0.0
        merges[r] = 0
        low, high = extrema(s[r])
        if np.isnan(low) or np.isnan(high) or np.isnan(k):
            threshold[r] = np.nan
            continue
        if k <= 0.0:
            threshold[r] = np.inf
            continue
        # candidates: what lies above -inf, or above 0
        above = 0
        m = 0
        for value in s[r]:
            above += value == np.inf
            m += value > (0.0 if magnitude else -np.inf)
        if m == above:
            threshold[r] = 1.0 if magnitude else 0.0
        elif k >= m:
            threshold[r] = 0.0 if magnitude else s[r, m - 1] - length
        elif k <= above:
            threshold[r] = s[r, above]
        else:
            row = s[r, above:m]
            threshold[r], merges[r] = _row_threshold(row, k - above, length, q, magnitude)
