"""The section {l <= y <= u, <w, y> = c} of a box: structure by a search, values by a formula.

The projection of x is clip(x - tau w, l, u). Between two neighbours of the sorted points where
an entry meets a bound the constraint is linear in tau: the neighbours around the root are found by
bisection over places, which gives the free entries exactly, and those give tau as a formula of live
arrays, whose derivatives are exact to every order. Weights of any sign will do: <w, y> never
increases with tau.
"""

from __future__ import annotations

from typing import Any

from ..arrays import float_info
from ..backend import Array, Backend, structure_kernel
from .rows import nan_where
from .thresholds import stop

__all__ = ["linear_section", "products", "project_section"]


def project_section(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> Array:
    """Return the nearest point of the section for each row; NaN where the section is empty.

    Arrays are (..., n), `total` is (..., 1); bounds may be infinite.
    """
    xp = backend.namespace
    x, lost = _without_lost(backend, x, lower, upper)
    fixed = [backend.stop_gradient(a) for a in (x, lower, upper, weights, total)]
    search = structure_kernel(backend, "section_start", section_start, fixed[0])
    start = stop(backend, search(*fixed))
    zeros = xp.zeros_like(fixed[0])
    height = fixed[0] - start * fixed[3]
    low, high = height <= fixed[1], height >= fixed[2]
    free = ~(low | high)
    w = xp.where(free, weights, zeros)
    # From `start`, not from 0: rounding is then that of the entries' distance to the bounds.
    moving = xp.where(free, x, zeros) - start * w
    bound = xp.where(low, lower, xp.where(high, upper, zeros))
    filled = xp.multiply(w, moving) + xp.where(free | (weights == 0), zeros, weights * bound)
    excess = xp.sum(filled, axis=-1, keepdims=True) - total
    slope = xp.sum(w * w, axis=-1, keepdims=True)
    step = excess / xp.where(slope > 0, slope, xp.ones_like(slope))
    y = xp.where(free, moving - step * w, bound)
    value = backend.stop_gradient(y)
    inside = xp.minimum(xp.maximum(value, fixed[1]), fixed[2])
    y = y + xp.where(inside == value, zeros, inside - value)
    empty = xp.any(fixed[1] > fixed[2], axis=-1, keepdims=True)
    size = xp.sum(xp.abs(backend.stop_gradient(w * moving)), axis=-1, keepdims=True)
    broken = xp.any(xp.isnan(fixed[0]), axis=-1, keepdims=True)
    off = _off_total(backend, inside, fixed[3], fixed[4], size)
    return nan_where(backend, lost | empty | off | broken, y)


def _without_lost(backend: Backend, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Return `x` with 0 for infinite entries whose bound is infinite too, and the rows of those."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    bound = xp.where(data > 0, backend.stop_gradient(upper), backend.stop_gradient(lower))
    lost = xp.isinf(data) & xp.isinf(bound)
    return xp.where(lost, xp.zeros_like(data), x), xp.any(lost, axis=-1, keepdims=True)


def _off_total(backend: Backend, y: Array, weights: Array, total: Array, size: Any = 0.0) -> Array:
    """Return whether <weights, y> misses the total by more than rounding, (..., 1)."""
    xp = backend.namespace
    info = float_info(y.dtype)
    terms = products(xp, weights, y)
    scale = xp.sum(xp.abs(terms), axis=-1, keepdims=True) + xp.abs(total) + size
    residual = xp.abs(xp.sum(terms, axis=-1, keepdims=True) - total)
    return ~(residual <= (info.eps if info else 0.0) ** 0.5 * scale)


def products(xp: Any, weights: Array, y: Array) -> Array:
    """Return the terms of <weights, y>, 0 where the weight is, even if the entry is infinite."""
    flat = weights == 0
    return xp.where(flat, xp.zeros_like(y), weights * xp.where(flat, xp.zeros_like(y), y))


def section_start(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> Array:
    """Return a multiplier strictly between the two points around the root, (..., 1).

    Where <w, y> keeps the right value over an interval, it is the middle of that interval: no entry
    is free then.
    """
    xp = backend.namespace
    infinity = xp.full_like(x, float("inf"))
    # Entries that tau does not move bend nothing.
    still = (weights == 0) | (lower == upper)
    safe = xp.where(still, xp.ones_like(weights), weights)
    meets = [xp.where(still, infinity, (x - bound) / safe) for bound in (lower, upper)]
    points = xp.concat([xp.where(xp.isnan(end), infinity, end) for end in meets], axis=-1)
    points = xp.sort(points, axis=-1)
    place, met = _place(backend, points, x, lower, upper, weights, total)
    root = _point(xp, points, place)
    beyond = xp.where(points > root, points, xp.full_like(points, float("inf")))
    first = xp.where(met, root, _point(xp, points, place - 1))
    last = xp.where(met, xp.min(beyond, axis=-1, keepdims=True), root)
    return _between(xp, first, last)


def _place(
    backend: Backend,
    points: Array,
    x: Array,
    lower: Array,
    upper: Array,
    weights: Array,
    total: Array,
) -> tuple[Array, Array]:
    """Return how many of the ascending points have <w, y> above the total; whether the next is it.

    Both up to rounding, so that an interval on which the total is met is seen as one.
    """
    xp = backend.namespace
    info = float_info(x.dtype)
    rounding = 8 * (info.eps if info else 0.0)
    count = points.shape[-1]

    def excess(tau: Array) -> tuple[Array, Array]:
        known = xp.isfinite(tau)
        at = xp.where(known, tau, xp.zeros_like(tau))
        y = xp.minimum(xp.maximum(x - at * weights, lower), upper)
        terms = products(xp, weights, y)
        slack = rounding * (xp.sum(xp.abs(terms), axis=-1, keepdims=True) + xp.abs(total))
        over = xp.sum(terms, axis=-1, keepdims=True) - total
        return xp.where(known, over, -at - tau), xp.where(known, slack, xp.zeros_like(slack))

    def body(_: Any, places: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = places
        middle = (low + high) // 2
        over, slack = excess(_point(xp, points, middle))
        passed, open_ = over > slack, low < high
        return (
            xp.where(open_ & passed, middle + 1, low),
            xp.where(open_ & ~passed, middle, high),
        )

    none = xp.astype(xp.zeros_like(points[..., :1]), xp.arange(1).dtype)
    place, _ = backend.fori_loop(0, count.bit_length(), body, (none, none + count))
    over, slack = excess(_point(xp, points, place))
    return place, xp.abs(over) <= slack


def _point(xp: Any, points: Array, place: Array) -> Array:
    """Return the points at the places, -inf before the first and inf after the last."""
    last = points.shape[-1] - 1
    inside = xp.minimum(xp.maximum(place, xp.zeros_like(place)), xp.zeros_like(place) + last)
    found = xp.take_along_axis(points, inside, axis=-1)
    infinity = xp.full_like(found, float("inf"))
    return xp.where(place < 0, -infinity, xp.where(place > last, infinity, found))


def _between(xp: Any, a: Array, b: Array) -> Array:
    """Return a point between a <= b, which may be infinite."""
    zero = xp.zeros_like(a)
    right, left = xp.isfinite(a), xp.isfinite(b)
    low, high = xp.where(right, a, zero), xp.where(left, b, zero)
    ray = xp.where(right, low + 1 + xp.abs(low), high - 1 - xp.abs(high))
    middle = xp.where(right & left, low / 2 + high / 2, ray)
    return xp.where(right | left, middle, zero)


def linear_section(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> Array:
    """Return a maximiser of <x, y> on the section: the fractional knapsack.

    Entries go to a bound by their ratio x/w; those at the last ratio share what is left in equal
    parts of their ranges. NaN where the section is empty or a bound infinite.
    """
    xp = backend.namespace
    data, w = backend.stop_gradient(x), backend.stop_gradient(weights)
    endless = xp.isinf(backend.stop_gradient(lower)) | xp.isinf(backend.stop_gradient(upper))
    lower, upper = (xp.where(endless, xp.zeros_like(data), end) for end in (lower, upper))
    flat, positive = w == 0, w > 0
    small, large = xp.where(positive, lower, upper), xp.where(positive, upper, lower)
    ratio = xp.where(flat, xp.full_like(w, -float("inf")), data / xp.where(flat, 1 + w * 0, w))
    gain = weights * (large - small)
    base = xp.sum(weights * small, axis=-1, keepdims=True)
    order = xp.argsort(ratio, axis=-1, descending=True, stable=True)
    filled = xp.cumulative_sum(xp.take_along_axis(stop(backend, gain), order, axis=-1), axis=-1)
    short = backend.stop_gradient(base) + filled < backend.stop_gradient(total)
    place = xp.sum(xp.astype(short, order.dtype), axis=-1, keepdims=True)
    place = xp.minimum(place, xp.zeros_like(place) + (x.shape[-1] - 1))
    last = xp.take_along_axis(
        xp.take_along_axis(ratio, order, axis=-1), xp.astype(place, order.dtype), axis=-1
    )
    full, tied = (ratio > last) & ~flat, (ratio == last) & ~flat
    zeros = xp.zeros_like(data)
    left = total - base - xp.sum(xp.where(full, gain, zeros), axis=-1, keepdims=True)
    width = xp.sum(xp.where(tied, gain, zeros), axis=-1, keepdims=True)
    share = left / xp.where(width > 0, width, xp.ones_like(width))
    share = xp.minimum(xp.maximum(share, xp.zeros_like(share)), xp.ones_like(share))
    y = xp.where(full, large, xp.where(tied, small + share * (large - small), small))
    nearest = xp.minimum(xp.maximum(zeros, lower), upper)
    apart = xp.where(data > 0, upper, xp.where(data < 0, lower, nearest))
    y = xp.where(flat, apart, y)
    value, fixed = backend.stop_gradient(y), backend.stop_gradient(total)
    broken = xp.any(xp.isnan(data) | endless, axis=-1, keepdims=True)
    return nan_where(backend, broken | _off_total(backend, value, w, fixed), y)
