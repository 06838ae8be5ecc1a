"""Reference search for the multiplier of a box section: Newton's steps in a bracket, no sort.

<w, clip(x - tau w, l, u)> never increases with tau and is linear between the points where an entry
meets a bound. A step of Newton's method that stays in the bracket is taken; else the last point
below its upper end is tried, or the middle of the floats in it. In time every fourth step is one
of these, so that the number of steps is bounded whatever the scale of the points.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import float_info
from ..backend import Array, Backend

__all__ = ["products", "section_start"]

_MOST_STEPS, _FREE_STEPS = 400, 16


class _Rows(NamedTuple):
    x: Array
    lower: Array
    upper: Array
    weights: Array
    total: Array


class _State(NamedTuple):
    count: Array
    tau: Array
    low: Array  # <w, y> is above the total by more than rounding here, and at no point in between
    high: Array
    probing: Array  # tau is the last point below `high`
    done: Array


def products(xp: Any, weights: Array, y: Array) -> Array:
    """Return the terms of <weights, y>, 0 where the weight is, even if the entry is infinite."""
    flat = weights == 0
    return xp.where(flat, xp.zeros_like(y), weights * xp.where(flat, xp.zeros_like(y), y))


def section_start(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> tuple[Array]:
    """Return a multiplier strictly between the two points around the root, (..., 1).

    Where <w, y> keeps the right value over an interval, up to rounding, it is the middle of that
    interval: no entry is free then.
    """
    xp, rows = backend.namespace, _Rows(x, lower, upper, weights, total)
    points = _points(xp, rows)
    low, high = _bracket(backend, rows, points)
    root, first = _least(xp, points, points >= high), _largest(xp, points, points <= low)
    over, slack, _ = _excess(xp, rows, xp.where(xp.isfinite(root), root, xp.zeros_like(root)))
    met = xp.isfinite(root) & (xp.abs(over) <= slack)
    beyond = _least(xp, points, points > root)
    return (_between(xp, xp.where(met, root, first), xp.where(met, beyond, root)),)


def _points(xp: Any, rows: _Rows) -> Array:
    """Return where an entry meets a bound, (..., 2n), inf for entries that tau does not move."""
    still = (rows.weights == 0) | (rows.lower == rows.upper)
    safe = xp.where(still, xp.ones_like(rows.weights), rows.weights)
    meets = [(rows.x - bound) / safe for bound in (rows.lower, rows.upper)]
    infinity = xp.full_like(rows.x, float("inf"))
    return xp.concat([xp.where(still | xp.isnan(end), infinity, end) for end in meets], axis=-1)


def _bracket(backend: Backend, rows: _Rows, points: Array) -> tuple[Array, Array]:
    """Return (low, high) with <w, y> above the total at `low` alone, and no point in between."""
    xp = backend.namespace
    start = _without_bounds(xp, rows)
    nothing = xp.zeros_like(start, dtype=xp.bool)
    count = xp.zeros((), dtype=xp.int32, device=backend.device_of(points))
    ends = _ends(xp, points)

    def going(state: _State) -> Array:
        return (state.count < _MOST_STEPS) & xp.logical_not(xp.all(state.done))

    def step(state: _State) -> _State:
        return _step(xp, rows, points, state)

    state = backend.while_loop(going, step, _State(count, start, *ends, nothing, nothing))
    return state.low, state.high


def _ends(xp: Any, points: Array) -> tuple[Array, Array]:
    """Return numbers below and above all finite points of a row; infinite if it has none."""
    finite = xp.isfinite(points)
    low, high = _least(xp, points, finite), _largest(xp, points, finite)
    some = xp.isfinite(low)
    low, high = (xp.where(some, end, xp.zeros_like(end)) for end in (low, high))
    infinity = xp.full_like(low, float("inf"))
    return (
        xp.where(some, low - 1 - xp.abs(low), -infinity),
        xp.where(some, high + 1 + xp.abs(high), infinity),
    )


def _step(xp: Any, rows: _Rows, points: Array, state: _State) -> _State:
    """Look at tau, shrink the bracket, and choose the next one."""
    over, slack, slope = _excess(xp, rows, state.tau)
    above = over > slack
    low = xp.where(xp.logical_not(state.done) & above, state.tau, state.low)
    high = xp.where(state.done | above, state.high, state.tau)
    moves = (xp.abs(over) > slack) & (slope > 0)
    newton = state.tau + over / xp.where(moves, slope, xp.ones_like(slope))
    by_newton = moves & (low < newton) & (newton < high) & _free(state.count)
    below = _largest(xp, points, points < high)
    done = state.done | (state.probing & above) | (xp.logical_not(by_newton) & (below <= low))
    middle = xp.where(state.count < 40, low / 2 + below / 2, _middle(xp, low, below))
    halves = state.probing & (low < middle) & (middle < below)
    tau = xp.where(by_newton, newton, xp.where(halves, middle, below))
    tau = xp.where(done, state.tau, tau)
    return _State(state.count + 1, tau, low, high, xp.logical_not(by_newton | halves), done)


def _free(count: Array) -> Array:
    """Whether this step may be Newton's: not every fourth one, where it takes long."""
    return (count < _FREE_STEPS) | (count % 4 != 3)


def _excess(xp: Any, rows: _Rows, tau: Array) -> tuple[Array, Array, Array]:
    """Return <w, y> - total, what of it is rounding, and the square of the free weights."""
    info = float_info(rows.x.dtype)
    height = rows.x - tau * rows.weights
    terms = products(xp, rows.weights, xp.minimum(xp.maximum(height, rows.lower), rows.upper))
    size = xp.sum(xp.abs(terms), axis=-1, keepdims=True) + xp.abs(rows.total)
    free = (height > rows.lower) & (height < rows.upper)
    squares = xp.where(free, rows.weights * rows.weights, xp.zeros_like(terms))
    return (
        xp.sum(terms, axis=-1, keepdims=True) - rows.total,
        8 * (info.eps if info else 0.0) * size,
        xp.sum(squares, axis=-1, keepdims=True),
    )


def _without_bounds(xp: Any, rows: _Rows) -> Array:
    """Return the multiplier where no bound binds; 0 where there is none."""
    x = xp.where(xp.isfinite(rows.x), rows.x, xp.zeros_like(rows.x))
    over = xp.sum(rows.weights * x, axis=-1, keepdims=True) - rows.total
    square = xp.sum(rows.weights * rows.weights, axis=-1, keepdims=True)
    tau = over / xp.where(square > 0, square, xp.ones_like(square))
    return xp.where(xp.isfinite(tau), tau, xp.zeros_like(tau))


def _largest(xp: Any, points: Array, chosen: Array) -> Array:
    """Return the largest of the chosen points of each row, -inf if there is none."""
    least = xp.full_like(points, -float("inf"))
    return xp.max(xp.where(chosen, points, least), axis=-1, keepdims=True)


def _least(xp: Any, points: Array, chosen: Array) -> Array:
    most = xp.full_like(points, float("inf"))
    return xp.min(xp.where(chosen, points, most), axis=-1, keepdims=True)


def _middle(xp: Any, low: Array, high: Array) -> Array:
    """Return about the middle of the floats from low to high: 0, by exponents, by numbers."""
    info = float_info(low.dtype)
    power = 38 if info is not None and info.eps > 1e-10 else 308
    tiny, huge = 10.0**-power, 10.0**power
    least, most = xp.full_like(low, -huge), xp.full_like(low, huge)
    low = xp.minimum(xp.maximum(low, least), most)
    high = xp.minimum(xp.maximum(high, least), most)
    sizes = [xp.maximum(xp.abs(end), xp.full_like(end, tiny)) for end in (low, high)]
    far = (sizes[0] / 4 > sizes[1]) | (sizes[1] / 4 > sizes[0])
    size = xp.sqrt(sizes[0]) * xp.sqrt(sizes[1])
    apart = (low < 0) & (high > 0)
    even = xp.where(far, xp.where(high > 0, size, -size), low / 2 + high / 2)
    return xp.where(apart, xp.zeros_like(low), even)


def _between(xp: Any, a: Array, b: Array) -> Array:
    """Return a point between a <= b, which may be infinite."""
    zero = xp.zeros_like(a)
    right, left = xp.isfinite(a), xp.isfinite(b)
    low, high = xp.where(right, a, zero), xp.where(left, b, zero)
    ray = xp.where(right, low + 1 + xp.abs(low), high - 1 - xp.abs(high))
    middle = xp.where(right & left, low / 2 + high / 2, ray)
    return xp.where(right | left, middle, zero)
