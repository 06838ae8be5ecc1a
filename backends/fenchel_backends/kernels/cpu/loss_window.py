"""What the sparse losses share: the state of a row, and the few entries that may be predicted.

A prediction is p_i = (w_i - s)_+^c with w_i = 1 + (alpha - 1)(x_i - max x) and c = 1/(alpha - 1).
Its largest entry, the pivot, has w = 1; the others have a chance only if w > 0. Near the optimum of
a loss s and the w that matter are tiny: they are formed without cancellation, so that the loss has
all its digits there.
"""

import numpy as np

from .jit import Rows, compiled, inlined
from .lanes import count_above, peak, places_above

__all__ = [
    "EMPTY",
    "GOOD",
    "SPOILT",
    "difference",
    "factor_of",
    "gather",
    "height_of",
    "spoil",
    "start2",
    "state",
    "take_pivot",
    "tops",
]

GOOD, EMPTY, SPOILT, INFINITE = 0, 1, 2, 3


@compiled
def state(x: Rows) -> tuple[int, float]:
    """Say what kind of row it is, and its largest entry."""
    high = peak(x)
    if np.isnan(high):
        return SPOILT, np.nan
    if high == -np.inf:
        return EMPTY, high
    return INFINITE if high == np.inf else GOOD, high


@compiled
def factor_of(params: Rows, column: int) -> float:
    """What multiplies the gradients: 1 over a number that may follow the parameters of a loss."""
    return 1.0 / np.float64(params[0, column]) if params.shape[1] > column else 1.0


@compiled
def only_class(y: Rows) -> int:
    """Return the class k of a row of proportions that is 1 at k and 0 elsewhere, -1 for others.

    At a class the loss keeps the digits that 1 - p has lost.
    """
    k = -1
    for i in range(y.size):
        if y[i] != 0.0:
            if k >= 0 or y[i] != 1.0:
                return -1
            k = i
    return k


@inlined
def difference(value: float, high: float) -> float:
    """Return x - max x, whatever the loop around reorders."""
    return np.float64(value) - high


@inlined
def height_of(value: float, reference: float, offset: float, scale: float) -> float:
    """Return w = offset + scale (x - reference), exact where it is small.

    The difference is formed with its rounding error, whatever the loop around reorders.
    """
    x = np.float64(value)
    difference = x - reference
    back = difference - x
    error = (x - (difference - back)) - (reference + back)
    # an infinite difference has no error
    return (offset + scale * difference) + (scale * error if error == error else 0.0)


@compiled
def tops(x: Rows) -> Rows:
    """Return the row in which entries of +inf share the first place and nothing else takes part."""
    row = np.empty(x.size, x.dtype)
    for i in range(x.size):
        row[i] = 0.0 if x[i] == np.inf else -np.inf
    return row


@compiled
def spoil(g: Rows, value: float) -> float:
    """Fill the gradient of a row that has no loss of its own, and return the loss."""
    for i in range(g.size):
        g[i] = value
    return value


@compiled
def gather(
    x: Rows,
    reference: float,
    offset: float,
    scale: float,
    least: float,
    skip: int,
    w: Rows,
    places: Rows,
) -> int:
    """Collect the entries with w > least but for the entry `skip`; return their number."""
    below = (offset - least) / scale
    floor = reference - below - 1e-6 * (abs(reference) + below)
    count, found = 0, places_above(x, floor, places)
    for j in range(found):
        i = places[j]
        height = height_of(x[i], reference, offset, scale)
        w[count] = height
        places[count] = i
        count += (height > least) & (i != skip)
    return count


@compiled
def _count_half(x: Rows, high: float, scale: float) -> int:
    """Count entries that surely have w > 1/2, the pivot left out."""
    below = 0.5 / scale
    return max(count_above(x, high - below + 1e-6 * (abs(high) + below)) - 1, 0)


@compiled
def start2(x: Rows, high: float) -> float:
    """Bound s from below: m entries with w > 1/2 alone would make it the root of a quadratic."""
    m = _count_half(x, high, 0.5)
    return float((1.0 - 1e-9) * 0.5 * m / (m + 2.0 + np.sqrt(3.0 * m + 4.0)))


@compiled
def take_pivot(w: Rows, places: Rows, count: int) -> int:
    """Move an entry with w = 1 behind the others; return their number."""
    for j in range(count):
        if w[j] == 1.0:
            last = count - 1
            w[j], w[last] = w[last], w[j]
            places[j], places[last] = places[last], places[j]
            return last
    return count
