"""Checks of arguments, and the messages they raise.

Every message names the argument, what was required and what came:
"`k` must be in [0, n]; got k=9 with n=7".
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

__all__ = [
    "FloatInfo",
    "axis_back",
    "axis_last",
    "check_array",
    "check_axis",
    "check_choice",
    "check_dtype",
    "check_mask",
    "check_number",
    "float_info",
    "narrow",
    "row_parameter",
    "widen",
]

Array = Any


class FloatInfo(NamedTuple):
    """What the library needs to know of a real floating dtype."""

    name: str
    half: bool  # computed in float32 inside
    eps: float  # spacing at 1 of the dtype that is computed in


_HALF = ("float16", "bfloat16")
_EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
# Keyed by the type too: comparing dtypes of two libraries warns in some.
_FLOATS: dict[tuple[type, Any], FloatInfo] = {}


def float_info(dtype: Any) -> FloatInfo | None:
    """Return what is known of a real floating dtype, None for every other dtype."""
    key = (type(dtype), dtype)
    try:
        return _FLOATS[key]
    except KeyError:
        name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if name in _HALF:
        info = FloatInfo(name, True, _EPS["float32"])
    elif name in _EPS:
        info = FloatInfo(name, False, _EPS[name])
    else:
        return None
    _FLOATS[key] = info
    return info


def check_dtype(name: str, x: Array) -> FloatInfo:
    """Return the float information of `x`.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.
    """
    info = float_info(x.dtype)
    if info is None:
        raise TypeError(f"`{name}` must have a real floating dtype; got {_dtype_name(x)}")
    return info


def _dtype_name(x: Array) -> str:
    return str(getattr(x.dtype, "name", x.dtype)).rpartition(".")[2]


def check_array(name: str, x: Array, like: Any) -> None:
    """Raise TypeError unless `x` is an array of the library whose backend is `like`."""
    from .backend import backend_of

    found = backend_of(x)
    if found.name != like.name:
        raise TypeError(f"`{name}` must be an array of {like.name}; got one of {found.name}")


def check_axis(axis: int, x: Array, name: str = "x", *, allow_empty: bool = False) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    TypeError
        If `axis` is not an integer.
    ValueError
        If `axis` is out of range, or empty where it must not be.
    """
    ndim = x.ndim
    if type(axis) is not int:
        try:
            axis = axis.__index__()
        except AttributeError:
            raise TypeError(f"`axis` must be an integer; got {axis!r}") from None
    if not -ndim <= axis < ndim:
        raise ValueError(f"`axis` must be in [{-ndim}, {ndim}); got axis={axis}")
    if axis < 0:
        axis += ndim
    if not allow_empty and x.shape[axis] == 0:
        raise ValueError(f"`{name}` must not be empty along `axis`; got shape {tuple(x.shape)}")
    return axis


def axis_last(xp: Any, x: Array, axis: int) -> Array:
    """Return `x` with `axis` (counted from the front) moved to the end."""
    if axis == x.ndim - 1:
        return x
    # Not `moveaxis`: torch.func.vmap has no rule for it.
    return xp.permute_dims(x, (*range(axis), *range(axis + 1, x.ndim), axis))


def axis_back(xp: Any, y: Array, axis: int) -> Array:
    """Undo `axis_last`."""
    last = y.ndim - 1
    if axis == last:
        return y
    return xp.permute_dims(y, (*range(axis), last, *range(axis, last)))


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}; got {value!r}")


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> float:
    """Return `value` as a Python float, checked against its bounds.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it lies outside its bounds, or is NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a real number; got {type(value).__qualname__}")
    number = float(value)
    if minimum is not None and not number >= minimum:
        raise ValueError(f"`{name}` must be at least {minimum:g}; got {name}={number:g}")
    if above is not None and not number > above:
        raise ValueError(f"`{name}` must be above {above:g}; got {name}={number:g}")
    if maximum is not None and not number <= maximum:
        raise ValueError(f"`{name}` must be at most {maximum:g}; got {name}={number:g}")
    if number != number:
        raise ValueError(f"`{name}` must be a number; got {name}=nan")
    return number


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
    xp = backend.namespace
    if value.ndim == x.ndim and value.ndim > 0:
        value = axis_last(xp, value, axis)
    shape, batch = tuple(value.shape), tuple(x.shape[:axis]) + tuple(x.shape[axis + 1 :])
    if shape and (shape[-1] != 1 or not _broadcasts(shape[:-1], batch)):
        raise ValueError(
            f"`{name}` must broadcast over the batch {batch} with size 1 along `axis`; "
            f"got shape {shape}"
        )
    if not shape:
        value = xp.reshape(value, (1,))
    info = float_info(value.dtype)
    wanted = xp.float32 if check_dtype("x", x).half else x.dtype
    if info is None and not xp.isdtype(value.dtype, "integral"):
        raise TypeError(f"`{name}` must be a real number or array; got {_dtype_name(value)}")
    return value if value.dtype == wanted else xp.astype(value, wanted)


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
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
        raise TypeError(f"`where` must be boolean; got {_dtype_name(where)}")
    if not _broadcasts(tuple(where.shape), tuple(x.shape)):
        raise ValueError(
            f"`where` must broadcast to the shape {tuple(x.shape)} of `x`; "
            f"got shape {tuple(where.shape)}"
        )
    full = xp.broadcast_to(where, tuple(x.shape))
    return axis_last(xp, full, axis)


def widen(xp: Any, x: Array, info: FloatInfo) -> Array:
    """Return `x` in the dtype that is computed in: float32 for the half types."""
    return xp.astype(x, xp.float32) if info.half else x


def narrow(xp: Any, y: Array, info: FloatInfo, dtype: Any) -> Array:
    """Undo `widen`."""
    return xp.astype(y, dtype) if info.half else y
