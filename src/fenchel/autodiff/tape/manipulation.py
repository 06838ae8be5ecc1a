"""Shapes, joins and repeats: linear functions with their transposes."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from .axes import inverse_permutation, normalize
from .fitting import cast, fit
from .rules import Composite, Linear, Rule, Sequence
from .traced import Array, Traced, strip

__all__ = ["RULES"]


def _reshape_transpose(xp: Any, g: Array, x: Array, *args: Any, **options: Any) -> Array:
    return xp.reshape(g, x.shape)


def _permute_transpose(xp: Any, g: Array, x: Array, axes: Any) -> Array:
    return xp.permute_dims(g, inverse_permutation(tuple(axes)))


def _moveaxis(xp: Any, x: Array, source: Any, destination: Any, /) -> Array:
    n = len(x.shape)
    sources = [normalize(a, n) for a in _listed(source)]
    places = [normalize(a, n) for a in _listed(destination)]
    order = [i for i in range(n) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return xp.permute_dims(x, tuple(order))


def _listed(axis: Any) -> list[int]:
    return [axis] if isinstance(axis, int) else list(axis)


def _broadcast_transpose(xp: Any, g: Array, x: Array, shape: Any) -> Array:
    return fit(xp, g, x)


def _broadcast_arrays(xp: Any, *arrays: Array) -> tuple[Array, ...]:
    shape = _common_shape([x.shape for x in arrays])
    return tuple([xp.broadcast_to(x, shape) for x in arrays])


def _common_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    ndim = max(map(len, shapes))
    out = []
    for column in zip(*[(1,) * (ndim - len(s)) + tuple(s) for s in shapes], strict=True):
        sizes = set(column) - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes must broadcast against each other; got {shapes}")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def _roll_transpose(xp: Any, g: Array, x: Array, /, shift: Any, *, axis: Any = None) -> Array:
    back = tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift
    return xp.roll(g, back, axis=axis)


def _tile_transpose(xp: Any, g: Array, x: Array, repetitions: Any) -> Array:
    counts = tuple(repetitions) if isinstance(repetitions, tuple | list) else (repetitions,)
    ndim = max(len(counts), len(x.shape))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - len(x.shape)) + tuple(x.shape)
    split = [size for pair in zip(counts, shape, strict=True) for size in pair]
    total = xp.sum(xp.reshape(g, tuple(split)), axis=tuple(range(0, 2 * ndim, 2)))
    return xp.reshape(total, x.shape)


def _repeat(xp: Any, x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    places = xp.base.arange(x.shape[axis], device=xp.device(x))
    return xp.take(x, xp.base.repeat(places, strip(repeats)), axis=axis)


def _diff(
    xp: Any,
    x: Array,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Array | None = None,
    append: Array | None = None,
) -> Array:
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = xp.concat(parts, axis=axis)
    place = (slice(None),) * normalize(axis, len(x.shape))
    for _ in range(n):
        upper = x[(*place, slice(1, None), Ellipsis)]
        x = xp.subtract(upper, x[(*place, slice(None, -1), Ellipsis)])
    return x


def _unstack(xp: Any, x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    place = (slice(None),) * normalize(axis, len(x.shape))
    return tuple([x[(*place, i, Ellipsis)] for i in range(x.shape[axis])])


def _concat_split(xp: Any, g: Array, arrays: Any, *, axis: int | None = 0) -> list[Array]:
    if axis is None:
        sizes = [_size(x) for x in arrays]
        place: tuple[Any, ...] = ()
    else:
        sizes = [x.shape[axis] for x in arrays]
        place = (slice(None),) * normalize(axis, len(g.shape))
    ends = list(accumulate(sizes))
    parts = [
        xp.getitem(g, (*place, slice(end - size, end), Ellipsis))
        for end, size in zip(ends, sizes, strict=True)
    ]
    if axis is not None:
        return parts
    return [xp.reshape(p, x.shape) for p, x in zip(parts, arrays, strict=True)]


def _size(x: Array) -> int:
    total = 1
    for n in x.shape:
        total *= n
    return total


def _stack_split(xp: Any, g: Array, arrays: Any, *, axis: int = 0) -> list[Array]:
    place = (slice(None),) * normalize(axis, len(g.shape))
    return [xp.getitem(g, (*place, i, Ellipsis)) for i in range(len(arrays))]


def _astype_transpose(xp: Any, g: Array, x: Array, dtype: Any, **options: Any) -> Array:
    return cast(xp, g, x.dtype)


class _Astype(Linear):
    """`astype` to integers or booleans gives a constant."""

    def bind(self, space: Any, fn: Any) -> Any:
        linear = super().bind(space, fn)

        def astype(x: Array, dtype: Any, /, **options: Any) -> Array:
            if type(x) is not Traced:
                return fn(x, dtype, **options)
            floating = ("real floating", "complex floating")
            if not space.base.isdtype(_as_dtype(space, dtype), floating):
                return fn(strip(x), dtype, **options)
            if dtype == x.dtype:
                return x
            return linear(x, dtype, **options)

        return astype


def _as_dtype(space: Any, dtype: Any) -> Any:
    """NumPy code names data types by strings and Python types."""
    return space.base.dtype(dtype) if space.numpy_like else dtype


def _linear(transpose: Any, name: str) -> Linear:
    return Linear(transpose, lambda xp: getattr(xp, name))


RULES: dict[str, Rule] = {
    "reshape": _linear(_reshape_transpose, "reshape"),
    "expand_dims": _linear(_reshape_transpose, "expand_dims"),
    "squeeze": _linear(_reshape_transpose, "squeeze"),
    "permute_dims": _linear(_permute_transpose, "permute_dims"),
    "matrix_transpose": _linear(lambda xp, g, x: xp.matrix_transpose(g), "matrix_transpose"),
    "moveaxis": Composite(_moveaxis),
    "broadcast_to": _linear(_broadcast_transpose, "broadcast_to"),
    "broadcast_arrays": Composite(_broadcast_arrays),
    "flip": _linear(lambda xp, g, x, **options: xp.flip(g, **options), "flip"),
    "roll": _linear(_roll_transpose, "roll"),
    "tile": _linear(_tile_transpose, "tile"),
    "repeat": Composite(_repeat),
    "tril": _linear(lambda xp, g, x, **options: xp.tril(g, **options), "tril"),
    "triu": _linear(lambda xp, g, x, **options: xp.triu(g, **options), "triu"),
    "diff": Composite(_diff),
    "unstack": Composite(_unstack),
    "concat": Sequence("concat", _concat_split),
    "stack": Sequence("stack", _stack_split),
    "astype": _Astype(_astype_transpose, lambda xp: xp.astype),
}
