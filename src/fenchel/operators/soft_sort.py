"""Soft sorting: the sorted row as a differentiable function that every entry may contribute to."""

from __future__ import annotations

from ..backend import Array, Backend, backend_of
from ..convex.blocks import (
    block_logsumexp,
    block_mean,
    block_sum,
    gather,
    positions,
    spread_nan,
)
from ..convex.order import ascending_order
from ..convex.pooling import pool_kl, pool_squared
from ..kernels import structure_kernel
from ._arguments import finish, prepare, temperature_of
from ._ordering import (
    check_regularization,
    choose_where_soft,
    first_places,
    inverse_temperature,
    mean_places,
    tilted,
    times,
)

__all__ = ["plain_sort", "soft_sort"]


def soft_sort(
    x: Array,
    /,
    *,
    temperature: Array | float = 1.0,
    regularization: str = "quadratic",
    descending: bool = False,
    axis: int = -1,
) -> Array:
    r"""Soft sort: the projection of (n, ..., 1) / t on the permutahedron of `x`.

    That is the descending order; the ascending one is minus the descending one of -x. "quadratic"
    is the Euclidean projection, "entropic" the Kullback-Leibler one in the logarithms. Places
    whose gap is too wide for the temperature t are averaged. The quadratic result keeps the sum of
    the entries, the entropic one that of their exponentials (of -x where ascending).

    Parameters
    ----------
    x
        Entries, real floating of shape (..., n).
    temperature
        t >= 0, in units of 1 / `x`: a number or an array with one value a row (size 1 along
        `axis`). 0 is the hard sort; inf gives one value everywhere, the mean of `x` if
        quadratic. The quadratic result is hard as soon as t is at most 1 / (largest gap of the
        sorted entries).
    regularization
        "quadratic" or "entropic".
    descending
        Whether the largest entry comes first.
    axis
        Axis that is sorted.

    Returns
    -------
    array
        Monotone rows, like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `temperature` is negative, `regularization` unknown, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `temperature`, to every order; at a gap that just merges,
    those of the sort unmerged; at equal entries, those of the stable order. A row with a NaN is
    NaN; above temperature 0 infinite entries have no soft sort. O(n log n) a row. Entropic blocks
    are summed in the log domain.

    References
    ----------
    Blondel, Teboul, Berthet and Djolonga (2020), "Fast differentiable sorting and ranking",
    arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import soft_sort
    >>> x = np.asarray([2.0, -1.0, 2.5, 0.0])
    >>> soft_sort(x, temperature=0.1).tolist()
    [-1.0, 0.0, 2.0, 2.5]
    >>> soft_sort(x, temperature=1.0, descending=True).tolist()
    [2.375, 1.375, 0.375, -0.625]
    """
    check_regularization(regularization)
    ready = prepare(x, axis, None, (temperature,))
    temperature = temperature_of(ready.backend, temperature, x, ready.axis)
    return finish(
        ready, plain_sort(ready.backend, ready.x, temperature, regularization, bool(descending))
    )


def plain_sort(
    backend: Backend,
    x: Array,
    temperature: Array | float,
    regularization: str,
    descending: bool = False,
) -> Array:
    """Return prepared rows softly sorted: fused where a kernel serves, else by the formula."""
    plain = isinstance(temperature, float) and 0.0 < temperature < float("inf")
    if regularization == "quadratic" and plain:
        rule = backend.fused("soft_sort", x)
        if rule is not None:

            def formula(x: Array) -> Array:
                return _sorted_rows(backend_of(x), x, temperature, regularization, descending)

            order = ascending_order(backend, x)
            fused: Array = rule(formula, x, (temperature, float(descending)), order)
            return fused
    return _sorted_rows(backend, x, temperature, regularization, descending)


def _sorted_rows(
    backend: Backend,
    x: Array,
    temperature: Array | float,
    regularization: str,
    descending: bool,
) -> Array:
    """Return the descending soft sort of x, or minus that of -x."""
    xp = backend.namespace
    order = ascending_order(backend, x)
    if descending:
        order = xp.flip(order, axis=-1)
    project = _quadratic if regularization == "quadratic" else _entropic
    row = gather(backend, x if descending else -x, order)
    out = project(backend, row, temperature)
    return spread_nan(backend, out if descending else -out)


def _quadratic(backend: Backend, u: Array, temperature: Array | float) -> Array:
    """Return z minus its block mean, plus the block mean of `u`; u descending, z = (n..1) / t."""
    fixed = backend.stop_gradient(u)
    safe, inverse = inverse_temperature(backend, temperature)
    places = _places(backend, fixed)

    def soft(fixed: Array) -> Array:
        blocks = structure_kernel(backend, "isotonic_blocks", pool_squared, u)
        first = fixed[..., :1]
        finite = backend.namespace.isfinite(first)
        offset = backend.namespace.where(finite, first, backend.namespace.zeros_like(first))
        return blocks(tilted(backend, -places, safe, offset - fixed), 0.0)

    ids = choose_where_soft(backend, temperature, fixed, soft, _singletons(backend, u))
    lead = mean_places(backend, ids, fixed) - (places + 1)
    return backend.namespace.add(times(backend, lead, inverse), block_mean(backend, u, ids))


def _entropic(backend: Backend, u: Array, temperature: Array | float) -> Array:
    """Return z - logsumexp of z over the block, plus logsumexp of `u`; z = (n..1) / t."""
    xp = backend.namespace
    fixed = backend.stop_gradient(u)
    safe, inverse = inverse_temperature(backend, temperature)
    places = _places(backend, fixed)

    def soft(fixed: Array) -> Array:
        blocks = structure_kernel(backend, "kl_isotonic_blocks", pool_kl, u)
        t = safe if isinstance(safe, float) else backend.stop_gradient(safe)
        return blocks(-places / t, fixed, 0.0)

    ids = choose_where_soft(backend, temperature, fixed, soft, _singletons(backend, u))
    # Both rows descend, so that the first entry of a block is its largest.
    depth = times(backend, first_places(backend, ids, fixed) - places, inverse)
    lead = depth - xp.log(block_sum(backend, xp.exp(depth), ids))
    return xp.add(lead, block_logsumexp(backend, u, ids, gather(backend, fixed, ids)))


def _places(backend: Backend, like: Array) -> Array:
    """Return 0, ..., n - 1 in every row, in the dtype of `like`."""
    places = backend.namespace.astype(positions(backend, like), like.dtype)
    return backend.namespace.broadcast_to(places, tuple(like.shape))


def _singletons(backend: Backend, like: Array) -> Array:
    """Return every entry as its own block, as int32."""
    xp = backend.namespace
    places = xp.astype(positions(backend, like), xp.int32)
    return xp.broadcast_to(places, tuple(like.shape))
