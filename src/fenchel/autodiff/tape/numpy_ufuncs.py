"""NumPy's ufuncs on traced arrays."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import Any

from .traced import Array, strip

__all__ = ["CACHE", "apply"]

# (namespace, ufunc) to the bound function: the fast path of `np.sin(x)`.
CACHE: dict[tuple[Any, Any], Callable[..., Any]] = {}

_RENAMED = {
    "absolute": "abs",
    "fabs": "abs",
    "true_divide": "divide",
    "power": "pow",
    "float_power": "pow",
    "mod": "remainder",
    "conjugate": "conj",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "rint": "round",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}


def _cbrt(xp: Any, x: Array) -> Array:
    return xp.multiply(xp.sign(x), xp.pow(xp.abs(x), 1.0 / 3.0))


def _logaddexp2(xp: Any, x: Array, y: Array) -> Array:
    ln2 = log(2.0)
    total = xp.logaddexp(xp.multiply(x, ln2), xp.multiply(y, ln2))
    return xp.multiply(total, 1.0 / ln2)


def _ignoring_nan(name: str) -> Callable[..., Array]:
    def choose(xp: Any, x: Array, y: Array) -> Array:
        x, y = xp.broadcast_arrays(xp.asarray(x), xp.asarray(y))
        safe_x = xp.where(xp.isnan(x), y, x)
        safe_y = xp.where(xp.isnan(y), x, y)
        return getattr(xp, name)(safe_x, safe_y)

    return choose


def _fmod(xp: Any, x: Array, y: Array) -> Array:
    return xp.subtract(x, xp.multiply(y, xp.trunc(xp.divide(x, y))))


def _modf(xp: Any, x: Array) -> tuple[Array, Array]:
    whole = xp.trunc(x)
    return xp.subtract(x, whole), whole


def _matvec(xp: Any, x: Array, y: Array) -> Array:
    return xp.squeeze(xp.matmul(x, xp.expand_dims(y, axis=-1)), axis=-1)


def _vecmat(xp: Any, x: Array, y: Array) -> Array:
    return xp.squeeze(xp.matmul(xp.expand_dims(xp.conj(x), axis=-2), y), axis=-2)


_FORMULAS: dict[str, Callable[..., Any]] = {
    "exp2": lambda xp, x: xp.exp(xp.multiply(x, log(2.0))),
    "cbrt": _cbrt,
    "deg2rad": lambda xp, x: xp.multiply(x, pi / 180.0),
    "radians": lambda xp, x: xp.multiply(x, pi / 180.0),
    "rad2deg": lambda xp, x: xp.multiply(x, 180.0 / pi),
    "degrees": lambda xp, x: xp.multiply(x, 180.0 / pi),
    "logaddexp2": _logaddexp2,
    "fmax": _ignoring_nan("maximum"),
    "fmin": _ignoring_nan("minimum"),
    "fmod": _fmod,
    "modf": _modf,
    "divmod": lambda xp, x, y: (xp.floor_divide(x, y), xp.remainder(x, y)),
    "heaviside": lambda xp, x, y: xp.base.heaviside(strip(x), strip(y)),
    "matvec": _matvec,
    "vecmat": _vecmat,
}

_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
_RUNNING = {"add": "cumulative_sum", "multiply": "cumulative_prod"}


def apply(
    space: Any, ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any], x: Array
) -> Any:
    """Return `ufunc.method(*inputs, **kwargs)`; `x` is a plain array among them."""
    name = ufunc.__name__
    options = {key: value for key, value in kwargs.items() if value is not None}
    dtype = options.pop("dtype", None)
    if method == "__call__":
        refused = set(options) - {"casting", "order", "subok"}
        if refused:
            raise TypeError(f"numpy.{name} of traced arrays takes no `{sorted(refused)[0]}`")
        out = _resolve(space, ufunc, x)(*inputs)
        return out if dtype is None else space.astype(out, dtype)
    if method == "reduce" and name in _REDUCTIONS and not set(options) - {"axis", "keepdims"}:
        axis = kwargs.get("axis", 0)
        reduce = getattr(space, _REDUCTIONS[name])
        return reduce(inputs[0], axis=axis, keepdims=bool(options.get("keepdims", False)))
    if method == "accumulate" and name in _RUNNING:
        axis = inputs[1] if len(inputs) > 1 else options.get("axis", 0)
        return getattr(space, _RUNNING[name])(inputs[0], axis=axis)
    if method == "outer":
        first, second = (space.asarray(z) for z in inputs)
        column = space.reshape(first, (*first.shape, *(1,) * len(second.shape)))
        return _resolve(space, ufunc, x)(column, second)
    raise TypeError(f"numpy.{name}.{method} has no derivative rule for traced arrays")


def _resolve(space: Any, ufunc: Any, x: Array) -> Callable[..., Any]:
    """Find the function of a ufunc and remember it."""
    from .backend import tape_backend
    from .table import find_rule

    name = ufunc.__name__
    standard = _RENAMED.get(name, name)
    if name in _FORMULAS:
        formula = _FORMULAS[name]

        def found(*args: Any) -> Any:
            return formula(space, *args)

    elif find_rule(standard) is not None:
        found = getattr(space, standard)
    else:
        special = tape_backend(x).special(name)
        if special is None:
            raise TypeError(f"ufunc {name!r} has no derivative rule for traced arrays")
        found = special
    CACHE[space, ufunc] = found
    return found
