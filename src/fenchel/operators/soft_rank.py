"""Soft ranks: the place of each entry in the sorted row, as a differentiable function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array, Backend, backend_of
from ..convex.blocks import (
    block_deviation,
    block_size,
    block_sum,
    gather,
    positions,
    spread_nan,
)
from ..convex.order import ascending_order, inverse_order
from ..convex.pooling import pool_kl, pool_squared
from ..kernels import structure_kernel
from ._arguments import finish, prepare, temperature_of
from ._ordering import (
    check_regularization,
    choose_where_soft,
    doubled,
    first_places,
    inverse_temperature,
    mean_places,
    tie_ids,
    tilted,
    times,
)

__all__ = ["plain_rank", "soft_rank"]


def soft_rank(
    x: Array,
    /,
    *,
    temperature: Array | float = 1.0,
    regularization: str = "quadratic",
    axis: int = -1,
) -> Array:
    r"""Soft ranks in ascending order: the smallest entry gets 1, the largest n.

    "quadratic" is the Euclidean projection of x / t on the permutahedron of (1, ..., n), "entropic"
    exp of the Kullback-Leibler projection of x / t on that of their logarithms. Entries nearer to
    each other than about t share ranks. The ranks sum to n (n + 1) / 2 and keep the order of `x`.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n).
    temperature
        t >= 0, in units of `x`; a number or an array with one value a row (size 1 along `axis`).
        0 gives hard ranks, tied entries sharing the mean of their places, inf (n + 1) / 2 for all.
        The quadratic ranks are hard as soon as t is at most the smallest gap between entries.
    regularization
        "quadratic" or "entropic".
    axis
        Axis that is ranked.

    Returns
    -------
    array
        Ranks in [1, n], like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `temperature` is negative, `regularization` unknown, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `temperature`, to every order; at a gap that just merges,
    those of the ranks unmerged; 0 at temperature 0. A row with a NaN is NaN. -inf and +inf rank
    first and last, each at the mean place of its kind, with derivative 0.

    O(n log n) a row, for the sort. The exponentials are shifted block by block, so entropic ranks
    and their derivatives do not overflow.

    References
    ----------
    Blondel, Teboul, Berthet and Djolonga (2020), "Fast differentiable sorting and ranking",
    arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import soft_rank
    >>> x = np.asarray([2.0, -1.0, 2.5, 0.0])
    >>> soft_rank(x, temperature=0.1).tolist()
    [3.0, 1.0, 4.0, 2.0]
    >>> soft_rank(x, temperature=1.0).tolist()
    [3.25, 1.0, 3.75, 2.0]
    """
    check_regularization(regularization)
    ready = prepare(x, axis, None, (temperature,))
    temperature = temperature_of(ready.backend, temperature, x, ready.axis)
    return finish(ready, plain_rank(ready.backend, ready.x, temperature, regularization))


def plain_rank(
    backend: Backend, x: Array, temperature: Array | float, regularization: str
) -> Array:
    """Return the ranks of prepared rows: fused where a kernel serves, else by the formula."""
    if regularization == "entropic":
        return _entropic_rank(backend, x, temperature)
    if isinstance(temperature, float) and 0.0 < temperature < float("inf"):
        rule = backend.fused("soft_rank", x)
        if rule is not None:

            def formula(x: Array) -> Array:
                return _quadratic_rank(backend_of(x), x, temperature)

            # equal entries share their ranks, so that a stable order, twice as slow, is not needed
            order = ascending_order(backend, x, stable=False)
            fused: Array = rule(formula, x, (temperature,), order)
            return fused
    return _quadratic_rank(backend, x, temperature)


def _quadratic_rank(backend: Backend, x: Array, temperature: Array | float) -> Array:
    """Return (x - mean of the block) / t + mean place of the block."""
    fixed = backend.stop_gradient(x)
    order = ascending_order(backend, fixed)
    ordered = gather(backend, fixed, order)
    safe, inverse = inverse_temperature(backend, temperature)

    def soft(ordered: Array) -> Array:
        blocks = structure_kernel(backend, "isotonic_blocks", pool_squared, x)
        places = backend.namespace.astype(positions(backend, x), x.dtype)
        return blocks(tilted(backend, _from_end(backend, ordered, 0), safe, -places), 1.0)

    sorted_ids = _sorted_ids(backend, temperature, ordered, soft)
    ids = gather(backend, sorted_ids, inverse_order(backend, order))
    rank = times(backend, block_deviation(backend, x, ids), inverse)
    rank = rank + mean_places(backend, ids, fixed)
    return spread_nan(backend, rank)


def _entropic_rank(backend: Backend, x: Array, temperature: Array | float) -> Array:
    """Return softmax(x / t) over the block, times the sum of its places."""
    xp = backend.namespace
    fixed = backend.stop_gradient(x)
    order = ascending_order(backend, fixed)
    ordered = gather(backend, fixed, order)
    safe, inverse = inverse_temperature(backend, temperature)

    def soft(ordered: Array) -> Array:
        # x / t is the exponent of the ranks: what float32 loses of a large one is seen in all.
        ordered = doubled(backend, ordered)
        t = safe if isinstance(safe, float) else doubled(backend, backend.stop_gradient(safe))
        height = _from_end(backend, ordered, -1)
        inside = xp.isfinite(height)
        height = xp.where(inside, xp.where(inside, height, xp.zeros_like(height)) / t, height)
        places = xp.log(xp.astype(positions(backend, x), ordered.dtype) + 1)
        places = xp.broadcast_to(places, tuple(x.shape))
        blocks = structure_kernel(backend, "kl_isotonic_blocks", pool_kl, ordered)
        return blocks(height, places, 1.0)

    sorted_ids = _sorted_ids(backend, temperature, ordered, soft)
    ids = gather(backend, sorted_ids, inverse_order(backend, order))
    size = block_size(backend, fixed, ids)
    # A block's largest entry is its last in sorted order.
    last = xp.astype(first_places(backend, ids, fixed) + size - 1, order.dtype)
    top = gather(backend, ordered, last)
    finite = xp.isfinite(fixed) & xp.isfinite(top)
    height = xp.where(finite, x - xp.where(finite, top, xp.zeros_like(top)), xp.zeros_like(x))
    power = xp.exp(times(backend, xp.where(xp.isnan(fixed), x, height), inverse))
    share = power / block_sum(backend, power, ids)
    return spread_nan(backend, share * (size * mean_places(backend, ids, fixed)))


def _sorted_ids(
    backend: Backend, temperature: Array | float, ordered: Array, soft: Callable[[Array], Array]
) -> Array:
    """Return the blocks of the sorted row: ties where the rank is hard, or the entry infinite."""
    ties = tie_ids(backend, ordered)
    ids = choose_where_soft(backend, temperature, ordered, soft, ties)
    return backend.namespace.where(backend.namespace.isinf(ordered), ties, ids)


def _from_end(backend: Backend, ordered: Array, end: int) -> Any:
    """Return sorted rows minus their first (0) or last (-1) entry: offsets cost no accuracy."""
    xp = backend.namespace
    reference = ordered[..., :1] if end == 0 else ordered[..., -1:]
    return ordered - xp.where(xp.isfinite(reference), reference, xp.zeros_like(reference))
