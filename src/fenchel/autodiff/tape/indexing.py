"""Indexing: one pair of transposes, gather and scatter over flat positions.

Any selection of entries is known by the flat positions that it reads. They are found by applying
the same selection to `arange`, and its transpose adds the cotangent up at these positions; so each
kind of index (slices, masks, integer arrays, `take`) needs one line, and derivatives of any order
stay within the pair.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from .rules import Composite, Linear, Rule
from .traced import Array, Traced, strip

__all__ = ["EXTRAS", "RULES"]

# Segments with more entries than this are summed by a matrix of zeros and ones.
_MANY = 64


def _positions(xp: Any, x: Array) -> Array:
    n = prod(x.shape)
    return xp.base.reshape(xp.base.arange(n, device=xp.device(x)), x.shape)


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice) or _is_integer(part)
        for part in parts
    )


def _is_integer(part: Any) -> bool:
    return hasattr(part, "__index__") and not isinstance(part, bool) and not hasattr(part, "shape")


def _plain_key(key: Any) -> Any:
    if type(key) is tuple:
        return tuple([strip(part) for part in key])
    return strip(key)


# -- what the plain namespace gets ----------------------------------------------------------------


def _make_getitem(xp: Any) -> Callable[..., Array]:
    def getitem(x: Array, key: Any) -> Array:
        return x[key]

    return getitem


def _make_embed(xp: Any) -> Callable[..., Array]:
    def embed(g: Array, key: Any, shape: tuple[int, ...]) -> Array:
        """Zeros of a shape with `g` at a basic key."""
        out = xp.base.zeros(shape, dtype=g.dtype, device=xp.device(g))
        if hasattr(out, "at") or not hasattr(out, "__setitem__"):  # an immutable array
            return xp.scatter(g, _positions(xp, out)[key], shape)
        if key is None or (type(key) is tuple and any(part is None for part in key)):
            # New axes are for reading only in the standard: they are dropped from both sides.
            key = () if key is None else tuple(part for part in key if part is not None)
            g = xp.base.reshape(g, out[key].shape)
        out[key] = g
        return out

    return embed


def _make_gather(xp: Any) -> Callable[..., Array]:
    def gather(x: Array, places: Array) -> Array:
        """Entries of the flattened `x` at integer `places` of any shape."""
        flat = xp.base.take(xp.base.reshape(x, (-1,)), xp.base.reshape(places, (-1,)), axis=0)
        return xp.base.reshape(flat, places.shape)

    return gather


def _make_scatter(xp: Any) -> Callable[..., Array]:
    bincount = getattr(xp.base, "bincount", None)

    def scatter(g: Array, places: Array, shape: tuple[int, ...]) -> Array:
        """Zeros of a shape with `g` added at flat `places`; repeated places add up."""
        base, n = xp.base, prod(shape)
        flat, ids = base.reshape(g, (-1,)), base.reshape(places, (-1,))
        if base.isdtype(g.dtype, "complex floating"):
            real = scatter(base.real(g), places, shape)
            return real + 1j * scatter(base.imag(g), places, shape)
        if bincount is not None:
            total = base.astype(bincount(ids, weights=flat, minlength=n), g.dtype)
        else:
            total = _sum_by_place(base, flat, ids, n, xp.device(g))
        return base.reshape(total, shape)

    return scatter


def _sum_by_place(base: Any, values: Array, ids: Array, n: int, device: Any) -> Array:
    """Sum values that share an id, in calls of the standard alone.

    Sorted by id, place j owns the run [start, end). The r-th pass adds the r-th member of every
    run; if some run is long, a product with a matrix of zeros and ones does it in one.
    """
    if n == 0 or ids.shape[0] == 0:
        return base.zeros((n,), dtype=values.dtype, device=device)
    places = base.arange(n, dtype=ids.dtype, device=device)
    order = base.argsort(ids, stable=True)
    ids, values = base.take(ids, order, axis=0), base.take(values, order, axis=0)
    start = base.searchsorted(ids, places)
    count = base.searchsorted(ids, places, side="right") - start
    longest = int(base.max(count))
    if longest > _MANY:
        member = base.astype(ids[None, :] == places[:, None], values.dtype)
        return base.matmul(member, values)
    total = base.zeros((n,), dtype=values.dtype, device=device)
    last = base.full_like(start, ids.shape[0] - 1)
    for r in range(longest):
        part = base.take(values, base.minimum(start + r, last), axis=0)
        total = total + base.where(count > r, part, base.zeros_like(part))
    return total


EXTRAS: dict[str, Callable[[Any], Callable[..., Array]]] = {
    "getitem": _make_getitem,
    "embed": _make_embed,
    "gather": _make_gather,
    "scatter": _make_scatter,
}


# -- rules ----------------------------------------------------------------------------------------


def _getitem_transpose(xp: Any, g: Array, x: Array, key: Any) -> Array:
    if _is_basic(key):
        return xp.embed(g, key, tuple(x.shape))
    return xp.scatter(g, _positions(xp, x)[key], tuple(x.shape))


class _GetItem(Linear):
    """Indexing; arrays in the key are constants."""

    def bind(self, space: Any, fn: Any) -> Any:
        linear = super().bind(space, fn)

        def getitem(x: Array, key: Any) -> Array:
            return linear(x, _plain_key(key))

        return getitem


def _take(xp: Any, x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    if type(x) is not Traced:
        return xp.constant_of(xp.base.take(x, strip(indices), axis=axis))
    places = xp.base.take(_positions(xp, x), strip(indices), axis=axis)
    return xp.gather(x, places)


def _take_along_axis(xp: Any, x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    indices = strip(indices)
    if type(x) is not Traced:
        return xp.constant_of(xp.base.take_along_axis(x, indices, axis=axis))
    places = xp.base.take_along_axis(_positions(xp, x), indices, axis=axis)
    return xp.gather(x, places)


RULES: dict[str, Rule] = {
    "getitem": _GetItem(_getitem_transpose, lambda xp: xp.getitem),
    "embed": Linear(lambda xp, g, x, key, shape: xp.getitem(g, key), lambda xp: xp.embed),
    "gather": Linear(
        lambda xp, g, x, places: xp.scatter(g, places, tuple(x.shape)), lambda xp: xp.gather
    ),
    "scatter": Linear(lambda xp, g, x, places, shape: xp.gather(g, places), lambda xp: xp.scatter),
    "take": Composite(_take),
    "take_along_axis": Composite(_take_along_axis),
}
