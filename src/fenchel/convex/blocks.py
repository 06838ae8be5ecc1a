"""Statistics of the blocks of an isotonic fit, as formulas of live arrays and of detached ids.

`ids` gives for each entry the number of its block: integers in [0, n), constants of every
derivative. The index of the first entry of the block is the number that kernels use.
"""

from __future__ import annotations

from ..backend import Array, Backend

__all__ = [
    "block_deviation",
    "block_ids",
    "block_logsumexp",
    "block_max",
    "block_mean",
    "block_size",
    "block_sum",
    "gather",
    "has_nan",
    "positions",
    "spread_nan",
    "weighted_block_mean",
]


def positions(backend: Backend, x: Array) -> Array:
    """Return 0, ..., n - 1 on the device of `x`, in the dtype that indexes."""
    return backend.namespace.arange(x.shape[-1], device=backend.device_of(x))


def gather(backend: Backend, x: Array, ids: Array) -> Array:
    """Return `x[..., ids]` row by row."""
    xp = backend.namespace
    index_dtype = xp.arange(1, device=backend.device_of(x)).dtype
    ids = ids if ids.dtype == index_dtype else xp.astype(ids, index_dtype)
    return xp.take_along_axis(x, ids, axis=-1)


def block_ids(backend: Backend, starts: Array) -> Array:
    """Return the index of the first entry of each entry's block; `starts` marks those entries."""
    xp = backend.namespace
    places = positions(backend, starts)
    order = xp.cumulative_sum(xp.astype(starts, places.dtype), axis=-1) - 1
    first = backend.segment_sum(
        xp.where(starts, places, xp.zeros_like(places)), order, starts.shape[-1]
    )
    return gather(backend, first, order)


def block_sum(backend: Backend, x: Array, ids: Array) -> Array:
    """Return for each entry the sum of `x` over its block."""
    return gather(backend, backend.segment_sum(x, ids, x.shape[-1]), ids)


def block_size(backend: Backend, x: Array, ids: Array) -> Array:
    """Return for each entry the number of entries of its block, in the dtype of `x`."""
    return block_sum(backend, backend.namespace.ones_like(backend.stop_gradient(x)), ids)


def block_mean(backend: Backend, y: Array, ids: Array) -> Array:
    """Return for each entry the mean of `y` over its block."""
    centre, centred, size = _centred(backend, y, ids)
    return block_sum(backend, centred, ids) / size + centre


def block_deviation(backend: Backend, y: Array, ids: Array) -> Array:
    """Return each entry minus the mean of its block, with no rounding by a common offset.

    An infinite entry is left out of the mean, and its own deviation is 0.
    """
    xp = backend.namespace
    y = xp.where(xp.isinf(y), xp.zeros_like(y), y)
    _, centred, size = _centred(backend, y, ids)
    return centred - block_sum(backend, centred, ids) / size


def _centred(backend: Backend, y: Array, ids: Array) -> tuple[Array, Array, Array]:
    """Return a detached mean of each block, the live entries minus it, and the block's size.

    A mean is taken twice: here, and of the centred entries. The second removes the rounding of the
    first, so that neither a large offset nor a block of 1e5 entries costs float32 its accuracy; it
    alone carries the derivative.
    """
    size = block_size(backend, y, ids)
    fixed = backend.stop_gradient(y)
    offset = _finite_or_zero(backend, fixed[..., :1])
    centre = offset + block_sum(backend, fixed - offset, ids) / size
    centre = _finite_or_zero(backend, centre)
    return centre, y - centre, size


def weighted_block_mean(backend: Backend, y: Array, weights: Array, ids: Array) -> Array:
    """Return the weighted mean of `y` over each block; a block of zero weights counts as ones.

    Centred like `block_mean`: the detached first mean has no part in the derivative.
    """
    xp = backend.namespace
    no_weight = block_sum(backend, backend.stop_gradient(weights), ids) == 0
    weights = xp.where(no_weight, xp.ones_like(weights), weights)
    total = block_sum(backend, weights, ids)
    fixed = backend.stop_gradient(y)
    offset = _finite_or_zero(backend, fixed[..., :1])
    moment = block_sum(backend, backend.stop_gradient(weights) * (fixed - offset), ids)
    centre = _finite_or_zero(backend, offset + moment / backend.stop_gradient(total))
    xp = backend.namespace
    moment = block_sum(backend, xp.multiply(weights, y - centre), ids)
    return xp.add(xp.divide(moment, total), centre)


def block_max(backend: Backend, x: Array, ids: Array) -> Array:
    """Return the maximum of `x` over each block of adjacent entries, by doubling.

    `ids` are first entries here, and the value is detached: it only shifts exponentials.
    """
    xp = backend.namespace
    top, n = backend.stop_gradient(x), x.shape[-1]
    step = 1
    while step < n:
        same = ids[..., step:] == ids[..., :-step]
        later = xp.maximum(top[..., :-step], top[..., step:])
        head = xp.where(same, later, top[..., :-step])
        top = xp.concat([head, top[..., n - step :]], axis=-1)
        step *= 2
    return gather(backend, top, ids)


def block_logsumexp(backend: Backend, x: Array, ids: Array, top: Array) -> Array:
    """Return log sum exp of `x` over each block; `top` is the detached maximum of the block."""
    xp = backend.namespace
    shift = _finite_or_zero(backend, top)
    total = block_sum(backend, xp.exp(x - shift), ids)
    # A block of -inf has no mass: its logarithm is not asked for, so neither is its derivative.
    empty = top == -float("inf")
    log = xp.log(xp.where(empty, xp.ones_like(total), total))
    return xp.where(empty, top, log + shift)


def has_nan(backend: Backend, x: Array) -> Array:
    """Return whether each row of `x` holds a NaN, shape (..., 1)."""
    xp = backend.namespace
    return xp.any(xp.isnan(x), axis=-1, keepdims=True)


def spread_nan(backend: Backend, fit: Array) -> Array:
    """Return `fit` with NaN in the whole of each row that holds one; derivatives pass through."""
    xp = backend.namespace
    broken = has_nan(backend, backend.stop_gradient(fit))
    zero = xp.zeros_like(backend.stop_gradient(fit[..., :1]))
    return fit + xp.where(broken, xp.full_like(zero, float("nan")), zero)


def _finite_or_zero(backend: Backend, x: Array) -> Array:
    """Replace infinities and NaN by 0: a shift must not turn an infinite entry into NaN."""
    xp = backend.namespace
    return xp.where(xp.isfinite(x), x, xp.zeros_like(x))
