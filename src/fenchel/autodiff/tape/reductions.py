"""Reductions and running sums.

`max` and `min` share the derivative equally among ties. Products multiply in a tree, so that
zeros among the factors need no division. `std` has derivative 0 where all entries are equal.
"""

from __future__ import annotations

from typing import Any

from .axes import as_tuple, count_along, expand_reduced, normalize
from .fitting import cast
from .rules import Composite, General, Linear, Rule
from .traced import Array

__all__ = ["RULES"]


def _sum_transpose(
    xp: Any, g: Array, x: Array, axis: Any = None, *, keepdims: bool = False, **options: Any
) -> Array:
    g = xp.broadcast_to(expand_reduced(xp, g, x, axis, keepdims), x.shape)
    return g if g.dtype == x.dtype else cast(xp, g, x.dtype)


def _mean_transpose(
    xp: Any, g: Array, x: Array, axis: Any = None, *, keepdims: bool = False
) -> Array:
    g = xp.divide(g, float(count_along(x, axis)))
    return xp.broadcast_to(expand_reduced(xp, g, x, axis, keepdims), x.shape)


def _tie_weights(xp: Any, out: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """Return 1/count on the entries that attain the extremum (NaN entries if there are any)."""
    top = expand_reduced(xp, out, x, axis, keepdims)
    ties = xp.logical_or(xp.equal(x, top), xp.not_equal(x, x))
    ones = xp.astype(ties, x.dtype)
    return xp.divide(ones, xp.sum(ones, axis=axis, keepdims=True))


def _extremum_pull(
    xp: Any, g: Array, out: Array, x: Array, *, axis: Any = None, keepdims: bool = False
) -> Array:
    weights = _tie_weights(xp, out, x, axis, keepdims)
    return xp.multiply(expand_reduced(xp, g, x, axis, keepdims), weights)


def _extremum_push(
    xp: Any, t: Array, out: Array, x: Array, *, axis: Any = None, keepdims: bool = False
) -> Array:
    weights = _tie_weights(xp, out, x, axis, keepdims)
    return xp.sum(xp.multiply(t, weights), axis=axis, keepdims=keepdims)


def _centered_square(xp: Any, x: Array, axis: Any) -> Array:
    centered = xp.subtract(x, xp.mean(x, axis=axis, keepdims=True))
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.real(xp.multiply(centered, xp.conj(centered)))
    return xp.square(centered)


def _var(
    xp: Any, x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    total = xp.sum(_centered_square(xp, x, axis), axis=axis, keepdims=keepdims)
    return xp.divide(total, float(count_along(x, axis) - correction))


def _std(
    xp: Any, x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    variance = xp.var(x, axis=axis, correction=correction, keepdims=keepdims)
    flat = xp.equal(variance, 0)
    root = xp.sqrt(xp.where(flat, xp.ones_like(variance), variance))
    return xp.where(flat, xp.zeros_like(variance), root)


def _prod(
    xp: Any, x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False
) -> Array:
    if dtype is not None:
        x = xp.astype(x, dtype)
    axes = as_tuple(axis, len(x.shape))
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    rows = xp.permute_dims(x, (*kept, *axes))
    rows = xp.reshape(rows, (*(x.shape[i] for i in kept), count_along(x, axis)))
    out = _tree_product(xp, rows)
    return xp.reshape(out, shape) if keepdims else out


def _tree_product(xp: Any, x: Array) -> Array:
    n = x.shape[-1]
    if n == 0:
        return xp.ones(x.shape[:-1], dtype=x.dtype, device=xp.device(x))
    while n > 1:
        half = n // 2
        pairs = xp.multiply(x[..., :half], x[..., half : 2 * half])
        x = xp.concat((pairs, x[..., 2 * half :]), axis=-1) if n % 2 else pairs
        n = x.shape[-1]
    return x[..., 0]


def _cumulative_sum_transpose(
    xp: Any,
    g: Array,
    x: Array,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
) -> Array:
    place = 0 if axis is None else normalize(axis, len(x.shape))
    if include_initial:
        g = g[(*(slice(None),) * place, slice(1, None), Ellipsis)]
    g = xp.flip(xp.cumulative_sum(xp.flip(g, axis=place), axis=place), axis=place)
    return g if g.dtype == x.dtype else cast(xp, g, x.dtype)


def _cumulative_prod(
    xp: Any,
    x: Array,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
) -> Array:
    if dtype is not None:
        x = xp.astype(x, dtype)
    place = 0 if axis is None else normalize(axis, len(x.shape))
    rows = xp.moveaxis(x, place, -1)
    first = xp.ones((*rows.shape[:-1], 1), dtype=x.dtype, device=xp.device(x))
    reach, n = 1, rows.shape[-1]
    while reach < n:  # each pass doubles how many factors an entry has taken up
        product = xp.multiply(rows[..., reach:], rows[..., :-reach])
        rows = xp.concat((rows[..., :reach], product), axis=-1)
        reach *= 2
    if include_initial:
        rows = xp.concat((first, rows), axis=-1)
    return xp.moveaxis(rows, -1, place)


RULES: dict[str, Rule] = {
    "sum": Linear(_sum_transpose, lambda xp: xp.sum),
    "mean": Linear(_mean_transpose, lambda xp: xp.mean),
    "max": General((_extremum_pull,), (_extremum_push,)),
    "min": General((_extremum_pull,), (_extremum_push,)),
    "var": Composite(_var),
    "std": Composite(_std),
    "prod": Composite(_prod),
    "cumulative_sum": Linear(_cumulative_sum_transpose, lambda xp: xp.cumulative_sum),
    "cumulative_prod": Composite(_cumulative_prod),
}
