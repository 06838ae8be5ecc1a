"""Reference kernels of isotonic regression: blocks by parallel pooling, in array-API calls alone.

A pass computes the value of every block and merges each maximal run of blocks that violate the
order. Pooling may be done in any order (the losses are convex), and blocks of one run would all be
pooled by a sequential sweep too, so the result is that of pool adjacent violators. On noise a
handful of passes suffices; the worst case is one pass an entry.

Each function takes the backend, then what the kernel of the same name takes: arrays (..., n) of
one dtype, and numbers or arrays (..., 1). Blocks are numbered by their first entry, as int32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..arrays import sign
from ..backend import Array, Backend
from .blocks import (
    block_ids,
    block_logsumexp,
    block_max,
    block_mean,
    block_sum,
    has_nan,
    weighted_block_mean,
)

__all__ = ["pool_kl", "pool_pnorm", "pool_squared", "pool_weighted"]


def pool_squared(backend: Backend, y: Array, increasing: Array | float) -> Array:
    """Return the blocks of least squares: a block's value is its mean."""
    starts = _all_true(backend, y)
    return _pool(backend, starts, has_nan(backend, y), increasing, partial(block_mean, backend, y))


def pool_weighted(backend: Backend, y: Array, weights: Array, increasing: Array | float) -> Array:
    """Return the blocks of weighted least squares; an entry of weight 0 joins a neighbour."""
    starts = _weighted_starts(backend, weights)
    value = partial(weighted_block_mean, backend, y, weights)
    return _pool(backend, starts, _either_nan(backend, y, weights), increasing, value)


def pool_kl(backend: Backend, y: Array, w: Array, increasing: Array | float) -> Array:
    """Return the blocks whose value is logsumexp(y) - logsumexp(w)."""

    def value(ids: Array) -> Array:
        upper = block_logsumexp(backend, y, ids, block_max(backend, y, ids))
        return upper - block_logsumexp(backend, w, ids, block_max(backend, w, ids))

    return _pool(backend, _all_true(backend, y), _either_nan(backend, y, w), increasing, value)


def pool_pnorm(
    backend: Backend, y: Array, weights: Array, p: Array | float, increasing: Array | float
) -> tuple[Array, Array]:
    """Return the blocks that minimise the sum of weights |y - v|^p, and the fit itself."""
    starts = _weighted_starts(backend, weights)
    value = partial(_pnorm_value, backend, y, weights, p)
    broken = _either_nan(backend, y, weights)
    ids = _pool(backend, starts, broken, increasing, value)
    fit = value(ids)
    return ids, backend.namespace.where(broken, fit + float("nan"), fit)


def _pool(
    backend: Backend,
    starts: Array,
    broken: Array,
    increasing: Array | float,
    value: Callable[[Array], Array],
) -> Array:
    """Merge violating runs of blocks, from those that `starts` opens, until none is left.

    Rows that are `broken`, by a NaN, are left unpooled.
    """
    xp = backend.namespace
    sign = 2.0 * increasing - 1.0

    def violations(starts: Array) -> Array:
        signed = sign * value(block_ids(backend, starts))
        return ~broken & (signed[..., :-1] > signed[..., 1:])

    def merge(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        starts, bad = carry
        starts = xp.concat([starts[..., :1], starts[..., 1:] & ~bad], axis=-1)
        return starts, violations(starts)

    starts = starts | broken
    starts, _ = backend.while_loop(
        lambda carry: xp.any(carry[1]), merge, (starts, violations(starts))
    )
    return xp.astype(block_ids(backend, starts), xp.int32)


def _pnorm_value(backend: Backend, y: Array, weights: Array, p: Array | float, ids: Array) -> Array:
    """Return the minimiser of each block by bisection between its extremes."""
    xp = backend.namespace
    no_weight = block_sum(backend, weights, ids) == 0
    weights = xp.where(no_weight, xp.ones_like(weights), weights)
    scale = xp.max(xp.abs(y), axis=-1, keepdims=True)
    scale = xp.where(scale > 0, scale, xp.ones_like(scale))
    weighted = weights > 0
    bottom = xp.full_like(y, -float("inf"))
    high = block_max(backend, xp.where(weighted, y, bottom), ids)
    low = -block_max(backend, xp.where(weighted, -y, bottom), ids)

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = low + (high - low) / 2
        # The scale keeps powers of large distances finite; the sign of the slope is the same.
        distance = (middle - y) / scale
        slope = block_sum(
            backend, weights * sign(xp, distance) * xp.abs(distance) ** (p - 1.0), ids
        )
        return xp.where(slope < 0, middle, low), xp.where(slope < 0, high, middle)

    steps = 30 if y.dtype == xp.float32 else 60
    low, high = backend.fori_loop(0, steps, halve, (low, high))
    return low + (high - low) / 2


def _weighted_starts(backend: Backend, weights: Array) -> Array:
    """Open a block at each positive weight but the first: zeros join the weight before them.

    Zeros before the first positive weight join that one; a row of zeros pools by its values alone.
    """
    xp = backend.namespace
    positive = weights > 0
    count = xp.cumulative_sum(xp.astype(positive, xp.int32), axis=-1)
    dead = count[..., -1:] == 0
    rest = (positive & (count > 1))[..., 1:] | dead
    return xp.concat([xp.ones_like(positive[..., :1]), rest], axis=-1)


def _all_true(backend: Backend, x: Array) -> Array:
    return backend.namespace.ones_like(x == x)


def _either_nan(backend: Backend, y: Array, weights: Array) -> Array:
    return has_nan(backend, y) | has_nan(backend, weights)
