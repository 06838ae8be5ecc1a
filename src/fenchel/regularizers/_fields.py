"""Array fields of regularizers, and scores with the entries that are out at 0."""

from __future__ import annotations

from numbers import Real
from typing import Any

from ..arrays import axis_last, check_number
from ..backend import backend_of

__all__ = ["finite_scores", "number_or_array", "turned"]

Array = Any


def number_or_array(name: str, value: Any, **bounds: float) -> Any:
    """Return a field: a checked number as a float, an array as it is.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it is a number out of its bounds.
    """
    if isinstance(value, Real) or not hasattr(value, "dtype"):
        return check_number(name, value, **bounds)
    return value


def turned(value: Any, ndim: int, axis: int) -> Any:
    """Return an array field with `axis` of rows of `ndim` dimensions moved to the end."""
    if isinstance(value, float) or value.ndim != ndim or axis == ndim - 1:
        return value
    return axis_last(backend_of(value).namespace, value, axis)


def finite_scores(backend: Any, z: Array) -> tuple[Array, Array]:
    """Return scores with 0 in place of -inf, and where that was."""
    xp = backend.namespace
    out = backend.stop_gradient(z) == float("-inf")
    return xp.where(out, xp.zeros_like(z), z), out
