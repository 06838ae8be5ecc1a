"""The methods of NumPy arrays on traced arrays over NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .numpy_protocol import _FUNCTIONS
from .traced import Array, Traced, strip

__all__ = ["bind_method"]

# Methods that are the function of the same name with the array first.
_FUNCTION_METHODS = frozenset(
    {
        *("sum", "prod", "mean", "max", "min", "std", "var", "cumsum", "cumprod"),
        *("swapaxes", "squeeze", "ravel", "take", "repeat", "clip", "dot", "diagonal", "trace"),
    }
)
_PLAIN_METHODS = frozenset({"argmax", "argmin", "argsort", "all", "any", "nonzero", "round"})
_IN_PLACE = frozenset({"sort", "fill", "put", "partition", "resize", "setflags", "itemset"})
_LEAVING = frozenset({"item", "tolist", "tobytes", "tofile", "dumps", "dump", "view", "data"})


def _reshape(xp: Any, x: Array, *shape: Any, order: str = "C") -> Array:
    sizes = shape[0] if len(shape) == 1 else shape
    return _FUNCTIONS["reshape"](xp, x, sizes, order)


def _transpose(xp: Any, x: Array, *axes: Any) -> Array:
    order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else (axes or None)
    return _FUNCTIONS["transpose"](xp, x, order)


def _flatten(xp: Any, x: Array, order: str = "C") -> Array:
    return _FUNCTIONS["ravel"](xp, x, order)


_METHODS: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "flatten": _flatten,
    "astype": lambda xp, x, dtype, **options: xp.astype(x, dtype),
    "copy": lambda xp, x, order="C": x,
    "conj": lambda xp, x: xp.conj(x),
    "conjugate": lambda xp, x: xp.conj(x),
    "ptp": lambda xp, x, axis=None: _FUNCTIONS["ptp"](xp, x, axis),
    "searchsorted": lambda xp, x, v, side="left": xp.base.searchsorted(strip(x), v, side=side),
}


def bind_method(x: Traced, name: str) -> Any:
    """Return the method or attribute `name` of a traced array over NumPy."""
    space = x._level.space
    if name in ("real", "imag"):
        return _FUNCTIONS[name](space, x)
    if name == "flat":
        return iter(space.reshape(x, (-1,)))
    if name in _METHODS:
        return partial(_METHODS[name], space, x)
    if name in _FUNCTION_METHODS:
        return partial(_FUNCTIONS[name], space, x)
    if name in _PLAIN_METHODS:
        return getattr(strip(x), name)
    if name in ("itemsize", "nbytes", "strides", "flags"):
        return getattr(strip(x), name)
    if name in _IN_PLACE:
        raise TypeError(
            f"x.{name} writes in place, which traced arrays do not allow; use the function of NumPy"
        )
    if name in _LEAVING:
        raise TypeError(
            f"x.{name} of a traced array would lose its derivative; "
            "apply `stop_gradient` first if a constant is meant"
        )
    raise AttributeError(f"traced array has no attribute {name!r}")
