"""NumPy's functions of shape, order and selection, over the tape's namespace."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from .axes import normalize
from .traced import Array, strip

__all__ = ["FUNCTIONS"]


def _shape_of(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if hasattr(shape, "__index__") else tuple(int(n) for n in shape)


def _at_least(xp: Any, x: Array, ndim: int) -> Array:
    x = xp.as_array(x)
    missing = ndim - len(x.shape)
    if missing <= 0:
        return x
    if ndim == 3 and len(x.shape) > 0:  # NumPy puts new axes on both sides here
        return x[None, :, None] if len(x.shape) == 1 else x[:, :, None]
    return xp.reshape(x, (1,) * missing + tuple(x.shape))


def _atleast(ndim: int) -> Callable[..., Any]:
    def atleast(xp: Any, *arrays: Array) -> Any:
        out = tuple([_at_least(xp, x, ndim) for x in arrays])
        return out[0] if len(out) == 1 else out

    return atleast


def _reshape(
    xp: Any,
    a: Array,
    /,
    shape: Any = None,
    order: str = "C",
    *,
    newshape: Any = None,
    copy: Any = None,
) -> Array:
    if order not in ("C", "A"):
        raise TypeError(f"`order` must be 'C' for traced arrays; got {order!r}")
    return xp.reshape(a, _shape_of(newshape if shape is None else shape))


def _ravel(xp: Any, a: Array, order: str = "C") -> Array:
    return _reshape(xp, a, -1, order)


def _transpose(xp: Any, a: Array, axes: Any = None) -> Array:
    order = tuple(reversed(range(len(a.shape)))) if axes is None else tuple(axes)
    return xp.permute_dims(a, tuple(i % len(a.shape) for i in order))


def _swapaxes(xp: Any, a: Array, axis1: int, axis2: int) -> Array:
    order = list(range(len(a.shape)))
    i, j = normalize(axis1, len(order)), normalize(axis2, len(order))
    order[i], order[j] = order[j], order[i]
    return xp.permute_dims(a, tuple(order))


def _rollaxis(xp: Any, a: Array, axis: int, start: int = 0) -> Array:
    n = len(a.shape)
    axis, start = normalize(axis, n), start + n if start < 0 else start
    return xp.moveaxis(a, axis, start - 1 if axis < start else start)


def _squeeze(xp: Any, a: Array, axis: Any = None) -> Array:
    if axis is None:
        axis = tuple(i for i, n in enumerate(a.shape) if n == 1)
    return xp.squeeze(a, axis=axis)


def _expand_dims(xp: Any, a: Array, axis: Any) -> Array:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    ndim = len(a.shape) + len(axes)
    places = {normalize(i, ndim) for i in axes}
    sizes = iter(a.shape)
    return xp.reshape(a, tuple(1 if i in places else next(sizes) for i in range(ndim)))


def _concatenate(
    xp: Any, arrays: Any, axis: Any = 0, *, dtype: Any = None, **options: Any
) -> Array:
    out = xp.concat([xp.as_array(x) for x in arrays], axis=axis)
    return out if dtype is None else xp.astype(out, dtype)


def _stack(xp: Any, arrays: Any, axis: int = 0, **options: Any) -> Array:
    return xp.stack([xp.as_array(x) for x in arrays], axis=axis)


def _vstack(xp: Any, tup: Any, **options: Any) -> Array:
    return xp.concat([_at_least(xp, x, 2) for x in tup], axis=0)


def _hstack(xp: Any, tup: Any, **options: Any) -> Array:
    parts = [_at_least(xp, x, 1) for x in tup]
    return xp.concat(parts, axis=0 if len(parts[0].shape) == 1 else 1)


def _dstack(xp: Any, tup: Any) -> Array:
    return xp.concat([_at_least(xp, x, 3) for x in tup], axis=2)


def _column_stack(xp: Any, tup: Any) -> Array:
    parts = [_at_least(xp, x, 1) for x in tup]
    return xp.concat([x[:, None] if len(x.shape) == 1 else x for x in parts], axis=1)


def _append(xp: Any, arr: Array, values: Array, axis: int | None = None) -> Array:
    return xp.concat([xp.as_array(arr), xp.as_array(values)], axis=axis)


def _array_split(xp: Any, ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    n, place = ary.shape[axis], (slice(None),) * normalize(axis, len(ary.shape))
    if isinstance(indices_or_sections, int):
        small, extra = divmod(n, indices_or_sections)
        sizes = [small + 1] * extra + [small] * (indices_or_sections - extra)
        cuts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    else:
        cuts = [0, *[int(i) for i in indices_or_sections], n]
    return [ary[(*place, slice(low, high), Ellipsis)] for low, high in pairwise(cuts)]


def _split(xp: Any, ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if isinstance(indices_or_sections, int) and ary.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return _array_split(xp, ary, indices_or_sections, axis)


def _tile(xp: Any, A: Array, reps: Any) -> Array:
    return xp.tile(A, _shape_of(reps))


def _flip(xp: Any, m: Array, axis: Any = None) -> Array:
    return xp.flip(m, axis=axis)


def _rot90(xp: Any, m: Array, k: int = 1, axes: Any = (0, 1)) -> Array:
    first, second = axes
    for _ in range(k % 4):
        m = xp.flip(_swapaxes(xp, m, first, second), axis=first)
    return m


def _broadcast_arrays(xp: Any, *args: Array, subok: bool = False) -> tuple[Array, ...]:
    return tuple(xp.broadcast_arrays(*[xp.as_array(x) for x in args]))


def _where(xp: Any, condition: Any, /, *branches: Any) -> Any:
    if not branches:
        return xp.base.nonzero(strip(condition))
    condition = xp.base.asarray(strip(condition))
    return xp.where(condition != 0, *branches)


def _select(xp: Any, condlist: Any, choicelist: Any, default: Any = 0) -> Array:
    out = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        out = _where(xp, condition, choice, out)
    return out


def _clip(xp: Any, a: Array, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Array:
    low = bounds.pop("min", a_min)
    return xp.clip(a, low, bounds.pop("max", a_max))


def _take(xp: Any, a: Array, indices: Any, axis: int | None = None, **options: Any) -> Array:
    indices = xp.base.asarray(strip(indices))
    if axis is None:
        return xp.reshape(a, (-1,))[indices]
    return a[(*(slice(None),) * normalize(axis, len(a.shape)), indices, Ellipsis)]


def _take_along_axis(xp: Any, arr: Array, indices: Array, axis: int | None = -1) -> Array:
    if axis is None:
        arr, axis = xp.reshape(arr, (-1,)), 0
    return xp.take_along_axis(arr, indices, axis=axis)


def _sort(xp: Any, a: Array, axis: int | None = -1, **options: Any) -> Array:
    if axis is None:
        a, axis = xp.reshape(a, (-1,)), 0
    return xp.sort(a, axis=axis)


def _partition(xp: Any, a: Array, kth: Any, axis: int | None = -1, **options: Any) -> Array:
    if axis is None:
        a, axis = xp.reshape(a, (-1,)), 0
    places = xp.base.argpartition(strip(a), kth, axis=axis)
    return xp.take_along_axis(a, places, axis=axis)


def _unique(xp: Any, ar: Array, **options: Any) -> Any:
    if any(options.values()):
        raise TypeError("numpy.unique of traced arrays takes no options")
    return xp.unique_values(ar)


def _pad(xp: Any, array: Array, pad_width: Any, mode: str = "constant", **options: Any) -> Array:
    """Places are padded like the array; constants fill the rest."""
    flat = xp.base.reshape(xp.base.arange(array.size), array.shape)
    if mode != "constant":
        return xp.gather(array, xp.base.pad(flat, pad_width, mode=mode, **options))
    places = xp.base.pad(flat, pad_width, constant_values=-1)
    filled = xp.base.pad(strip(array), pad_width, mode=mode, **options)
    inside = xp.gather(array, xp.base.maximum(places, 0))
    return xp.where(places >= 0, inside, filled)


def _delete(xp: Any, arr: Array, obj: Any, axis: int | None = None) -> Array:
    if axis is None:
        arr, axis = xp.reshape(arr, (-1,)), 0
    kept = xp.base.delete(xp.base.arange(arr.shape[axis]), obj)
    return _take(xp, arr, kept, axis)


def _diag(xp: Any, v: Array, k: int = 0) -> Array:
    if len(v.shape) == 2:
        return xp.linalg.diagonal(v, offset=k)
    n = v.shape[0] + abs(k)
    rows = xp.base.arange(v.shape[0]) + max(-k, 0)
    return xp.scatter(v, rows * n + rows + k, (n, n))


def _diagonal(xp: Any, a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return xp.linalg.diagonal(xp.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset)


def _triangle(name: str) -> Callable[..., Array]:
    def triangle(xp: Any, m: Array, k: int = 0) -> Array:
        return getattr(xp, name)(m, k=k)

    return triangle


def _full_like(xp: Any, a: Array, fill_value: Any, dtype: Any = None, **options: Any) -> Array:
    return xp.full_like(a, fill_value, dtype=dtype)


def _copy(xp: Any, a: Array, **options: Any) -> Array:
    return a


def _meshgrid(xp: Any, *xi: Array, indexing: str = "xy", **options: Any) -> list[Array]:
    return list(xp.meshgrid(*[xp.as_array(x) for x in xi], indexing=indexing))


def _linspace(
    xp: Any, start: Any, stop: Any, num: int = 50, endpoint: bool = True, **options: Any
) -> Array:
    return xp.linspace(start, stop, num, endpoint=endpoint)


def _apply_along_axis(
    xp: Any, func1d: Callable[..., Any], axis: int, arr: Array, *args: Any, **kwargs: Any
) -> Array:
    rows = xp.moveaxis(arr, axis, -1)
    flat = xp.reshape(rows, (-1, rows.shape[-1]))
    out = xp.stack([xp.as_array(func1d(row, *args, **kwargs)) for row in flat])
    out = xp.reshape(out, (*rows.shape[:-1], *out.shape[1:]))
    return out if len(out.shape) < len(arr.shape) else xp.moveaxis(out, -1, axis)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "atleast_1d": _atleast(1),
    "atleast_2d": _atleast(2),
    "atleast_3d": _atleast(3),
    "reshape": _reshape,
    "ravel": _ravel,
    "transpose": _transpose,
    "permute_dims": _transpose,
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "swapaxes": _swapaxes,
    "moveaxis": lambda xp, a, source, destination: xp.moveaxis(a, source, destination),
    "rollaxis": _rollaxis,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "concatenate": _concatenate,
    "stack": _stack,
    "vstack": _vstack,
    "hstack": _hstack,
    "dstack": _dstack,
    "column_stack": _column_stack,
    "append": _append,
    "array_split": _array_split,
    "split": _split,
    "vsplit": lambda xp, ary, parts: _split(xp, ary, parts, 0),
    "hsplit": lambda xp, ary, parts: _split(xp, ary, parts, min(1, len(ary.shape) - 1)),
    "dsplit": lambda xp, ary, parts: _split(xp, ary, parts, 2),
    "unstack": lambda xp, x, axis=0: xp.unstack(x, axis=axis),
    "tile": _tile,
    "repeat": lambda xp, a, repeats, axis=None: xp.repeat(a, repeats, axis=axis),
    "roll": lambda xp, a, shift, axis=None: xp.roll(a, shift, axis=axis),
    "flip": _flip,
    "fliplr": lambda xp, m: xp.flip(m, axis=1),
    "flipud": lambda xp, m: xp.flip(m, axis=0),
    "rot90": _rot90,
    "broadcast_to": lambda xp, array, shape, **options: xp.broadcast_to(array, _shape_of(shape)),
    "broadcast_arrays": _broadcast_arrays,
    "where": _where,
    "select": _select,
    "clip": _clip,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "sort": _sort,
    "partition": _partition,
    "unique": _unique,
    "pad": _pad,
    "delete": _delete,
    "diag": _diag,
    "diagonal": _diagonal,
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    "full_like": _full_like,
    "copy": _copy,
    "asarray": lambda xp, a, dtype=None, **options: xp.asarray(a, dtype=dtype),
    "astype": lambda xp, x, dtype, **options: xp.astype(x, dtype),
    "meshgrid": _meshgrid,
    "linspace": _linspace,
    "apply_along_axis": _apply_along_axis,
}
