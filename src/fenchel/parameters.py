"""Arguments beside the data: parameters of each row, masks, and arrays of the same library."""

from __future__ import annotations

from numbers import Real
from typing import Any

from .arrays import axis_last, check_dtype, check_number, dtype_name, float_info
from .backend import backend_of

__all__ = ["broadcasts", "check_array", "check_mask", "known_to", "row_parameter"]

Array = Any


def check_array(name: str, x: Array, like: Any) -> None:
    """Raise TypeError unless `x` is an array of the library whose backend is `like`."""
    try:
        found = backend_of(x)
    except TypeError:
        raise TypeError(
            f"`{name}` must be an array of {like.name}; got {type(x).__qualname__}"
        ) from None
    if found.name != like.name:
        raise TypeError(f"`{name}` must be an array of {like.name}; got one of {found.name}")


def known_to(backend: Any, x: Array) -> Array:
    """Return a plain array as the constant that a trace makes of it, other arrays as they are.

    An array of a library whose operators do not defer could not stand to the left of a traced one.
    """
    return backend.namespace.asarray(x) if getattr(backend, "base", None) is not None else x


def row_parameter(
    backend: Any,
    name: str,
    value: Any,
    x: Array,
    axis: int,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Return a per-row parameter of an operator on `x`: a Python float, or an array (..., 1).

    Numbers are checked against the bounds; the values of arrays are not looked at. An array must
    broadcast against `x` with size one along `axis`, which is moved to the end; it is cast to the
    dtype that is computed in.

    Raises
    ------
    TypeError
        If `value` is neither a number nor an array of the library of `x`.
    ValueError
        If it lies outside its bounds or does not broadcast over the batch.
    """
    kind = type(value)
    if kind is float or kind is int or isinstance(value, Real):
        return check_number(name, value, minimum=minimum, above=above, maximum=maximum)
    check_array(name, value, backend)
    value = known_to(backend, value)
    xp = backend.namespace
    if value.ndim == x.ndim and value.ndim > 0:
        value = axis_last(xp, value, axis)
    shape, batch = tuple(value.shape), tuple(x.shape[:axis]) + tuple(x.shape[axis + 1 :])
    if shape and (shape[-1] != 1 or not broadcasts(shape[:-1], batch)):
        raise ValueError(
            f"`{name}` must broadcast over the batch {batch} with size 1 along `axis`; "
            f"got shape {shape}"
        )
    if not shape:
        value = xp.reshape(value, (1,))
    info = float_info(value.dtype)
    wanted = xp.float32 if check_dtype("x", x).half else x.dtype
    if info is None and not xp.isdtype(value.dtype, "integral"):
        raise TypeError(f"`{name}` must be a real number or array; got {dtype_name(value)}")
    return value if value.dtype == wanted else xp.astype(value, wanted)


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether `shape` broadcasts to exactly `target`."""
    if len(shape) > len(target):
        return False
    return all(
        a in (1, b) for a, b in zip(shape[::-1], target[: -len(shape) - 1 : -1], strict=True)
    )


def check_mask(backend: Any, where: Array, x: Array, axis: int) -> Array:
    """Return the boolean mask `where`, broadcastable to `x`, with `axis` moved to the end.

    Raises
    ------
    TypeError
        If `where` is not a boolean array of the library of `x`.
    ValueError
        If it does not broadcast to the shape of `x`.
    """
    check_array("where", where, backend)
    xp = backend.namespace
    if not xp.isdtype(where.dtype, "bool"):
        raise TypeError(f"`where` must be boolean; got {dtype_name(where)}")
    if not broadcasts(tuple(where.shape), tuple(x.shape)):
        raise ValueError(
            f"`where` must broadcast to the shape {tuple(x.shape)} of `x`; "
            f"got shape {tuple(where.shape)}"
        )
    full = xp.broadcast_to(where, tuple(x.shape))
    return axis_last(xp, full, axis)
