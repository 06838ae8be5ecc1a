"""NumPy's two protocols: unmodified NumPy code on traced arrays.

Ufuncs map to functions of the array API by name, the rest of NumPy by tables of functions written
over the tape's namespace. What is in no table is refused by name: a NumPy function that has no rule
must not return an array of objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import numpy_linalg, numpy_products, numpy_reductions, numpy_shapes, numpy_ufuncs
from .traced import Traced, strip

__all__ = ["apply_function", "apply_ufunc", "install"]

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **numpy_shapes.FUNCTIONS,
    **numpy_reductions.FUNCTIONS,
    **numpy_products.FUNCTIONS,
    **numpy_linalg.FUNCTIONS,
}

# Answers that carry no derivative: computed on plain arrays.
_PLAIN = frozenset(
    {
        *("argmax", "argmin", "argsort", "argwhere", "argpartition", "nonzero", "flatnonzero"),
        *("searchsorted", "digitize", "count_nonzero", "histogram", "histogram_bin_edges"),
        *("bincount", "lexsort", "nanargmax", "nanargmin", "isin", "in1d"),
        *("all", "any", "allclose", "isclose", "array_equal", "array_equiv"),
        *("isposinf", "isneginf", "iscomplex", "isreal", "iscomplexobj", "isrealobj"),
        *("shape", "ndim", "size", "result_type", "can_cast", "common_type", "min_scalar_type"),
        *("zeros_like", "ones_like", "empty_like", "round", "around", "fix", "floor_divide"),
        *("array_str", "array_repr", "array2string", "shares_memory", "may_share_memory"),
        *("linalg.matrix_rank", "linalg.cond_number"),
    }
)


def apply_ufunc(self: Traced, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Serve `ufunc(...)` and its methods."""
    space = self._level.space
    if method == "__call__" and not kwargs:
        found = numpy_ufuncs.CACHE.get((space, ufunc))
        if found is not None:
            return found(*inputs)
    if not space.numpy_like:
        raise TypeError(
            f"arrays must belong to one library; got numpy.{ufunc.__name__} "
            f"with a traced array of {space.library}"
        )
    return numpy_ufuncs.apply(space, ufunc, method, inputs, kwargs, strip(self))


def apply_function(self: Traced, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Serve a NumPy function that is no ufunc."""
    space = self._level.space
    served = _FOUND.get(function)
    if served is None or not space.numpy_like:
        served = _find(space, function)
    if kwargs and kwargs.get("out") is not None:
        raise TypeError(
            f"`out` of numpy.{function.__name__} must be None: traced arrays are read only"
        )
    return served(space, *args, **kwargs)


# NumPy's functions to ours, filled as they are met.
_FOUND: dict[Any, Callable[..., Any]] = {}


def _find(space: Any, function: Any) -> Callable[..., Any]:
    module = function.__module__.removeprefix("numpy").lstrip(".")
    name = f"{module}.{function.__name__}" if module else function.__name__
    if not space.numpy_like:
        raise TypeError(
            f"arrays must belong to one library; got numpy.{name} "
            f"with a traced array of {space.library}"
        )
    if name in _PLAIN:

        def plain(_: Any, *args: Any, **kwargs: Any) -> Any:
            return function(*_strip_all(args), **{k: _strip_all(v) for k, v in kwargs.items()})

        _FOUND[function] = plain
    elif name in _FUNCTIONS:
        _FOUND[function] = _FUNCTIONS[name]
    else:
        raise TypeError(f"numpy.{name} has no derivative rule for traced arrays")
    return _FOUND[function]


def _strip_all(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)([_strip_all(item) for item in x])
    return strip(x)


def install() -> None:
    """Give traced arrays the two protocols."""
    Traced.__array_ufunc__ = apply_ufunc  # type: ignore[attr-defined]
    Traced.__array_function__ = apply_function  # type: ignore[attr-defined]
