"""Checks of arrays by their values, where these are known, and by their dtypes."""

from __future__ import annotations

from typing import Any

from ..arrays import dtype_name
from ..backend import backend_of

__all__ = ["held", "refuse_wrong", "same_dtype"]

Array = Any


def same_dtype(name: str, x: Array, like: Array) -> None:
    """Raise TypeError unless `x` has the dtype of `like`."""
    if x.dtype != like.dtype:
        raise TypeError(f"`{name}` must have the dtype {dtype_name(like)}; got {dtype_name(x)}")


def refuse_wrong(name: str, value: Array, right: Array, requirement: str) -> bool:
    """Raise ValueError, with the first value that is not right; return whether values are known."""
    backend = backend_of(value)
    xp, plain = backend.namespace, backend.stop_gradient(right)
    if backend.is_traced(plain):
        return False
    if not bool(xp.all(plain)):
        first = int(xp.argmax(xp.astype(xp.reshape(~plain, (-1,)), xp.int8)))
        got = float(xp.reshape(backend.stop_gradient(value), (-1,))[first])
        raise ValueError(f"`{name}` {requirement}; got {got:g}")
    return True


def held(name: str, value: Array, right: Array, requirement: str) -> Array:
    """Return an array whose entries are right; NaN for the others where none can be looked at."""
    if refuse_wrong(name, value, right, requirement):
        return value
    backend = backend_of(value)
    nan = backend.namespace.full_like(backend.stop_gradient(value), float("nan"))
    return backend.namespace.where(right, value, nan)
