"""The section {l <= y <= u, <w, y> = c} of a box: structure by a search, values by a formula.

The projection of x is clip(x - tau w, l, u). Between two neighbours of the points where an entry
meets a bound the constraint is linear in tau: a search for the neighbours around the root gives the
free entries exactly, and those give tau as a formula of live arrays, whose derivatives are exact to
every order. Weights of any sign will do: <w, y> never increases with tau.
"""

from __future__ import annotations

from typing import Any

from ..arrays import float_info
from ..backend import Array, Backend
from ..kernels import solver_kernel
from .rows import nan_where
from .section_search import products, section_start
from .thresholds import stop

__all__ = ["linear_section", "project_section"]


def project_section(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> Array:
    """Return the nearest point of the section for each row; NaN where the section is empty.

    Arrays are (..., n), `total` is (..., 1); bounds may be infinite.
    """
    xp = backend.namespace
    x, lost = _without_lost(backend, x, lower, upper)
    fixed = [backend.stop_gradient(a) for a in (x, lower, upper, weights, total)]
    start = stop(backend, _start(backend, *fixed))
    zeros = xp.zeros_like(fixed[0])
    height = fixed[0] - start * fixed[3]
    low, high = height <= fixed[1], height >= fixed[2]
    free = xp.logical_not(low | high)
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


def _start(
    backend: Backend, x: Array, lower: Array, upper: Array, weights: Array, total: Array
) -> Array:
    """Return a multiplier strictly between the two points around the root."""
    fast = backend.kernel("section_start", x.dtype, backend.device_of(x))
    if fast is not None:
        return fast(x, lower, upper, weights, total)
    return solver_kernel(backend, section_start)(x, lower, upper, weights, total)[0]


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
    return xp.logical_not(residual <= (info.eps if info else 0.0) ** 0.5 * scale)


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
    full, tied = (ratio > last) & xp.logical_not(flat), (ratio == last) & xp.logical_not(flat)
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
