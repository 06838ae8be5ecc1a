"""Checks of arguments, and the messages they raise.

Every message names the argument, what was required and what came:
"`k` must be in [0, n]; got k=9 with n=7".
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, NamedTuple

__all__ = [
    "FloatInfo",
    "axis_back",
    "axis_last",
    "check_axis",
    "check_choice",
    "check_dtype",
    "check_integer",
    "check_number",
    "dtype_name",
    "float_info",
    "narrow",
    "sign",
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
        raise TypeError(f"`{name}` must have a real floating dtype; got {dtype_name(x)}")
    return info


def dtype_name(x: Array) -> str:
    """Return the name of a dtype, the same for every library: "float32"."""
    return str(getattr(x.dtype, "name", x.dtype)).rpartition(".")[2]


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


def check_integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value`, an integer of Python or NumPy, as a Python int between its bounds.

    Raises
    ------
    TypeError
        If `value` is not an integer.
    ValueError
        If it lies outside its bounds.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"`{name}` must be an integer; got {type(value).__qualname__}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}; got {name}={number}")
    if maximum is not None and number > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}; got {name}={number}")
    return number


def widen(xp: Any, x: Array, info: FloatInfo) -> Array:
    """Return `x` in the dtype that is computed in: float32 for the half types."""
    return xp.astype(x, xp.float32) if info.half else x


def narrow(xp: Any, y: Array, info: FloatInfo, dtype: Any) -> Array:
    """Undo `widen`."""
    return xp.astype(y, dtype) if info.half else y


def sign(xp: Any, x: Array) -> Array:
    """Return -1, 0 or 1, a constant for derivatives; NaN stays.

    The `sign` that array-api-compat gives PyTorch has no batching rule.
    """
    ones = xp.ones_like(x)
    return xp.where(x > 0, ones, xp.where(x < 0, -ones, 0.0 * x))
