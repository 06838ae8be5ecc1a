"""An argument of a set or projection as rows: checks, event axis last, half types widened."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from ..arrays import (
    FloatInfo,
    axis_back,
    axis_last,
    check_axis,
    check_dtype,
    check_number,
    narrow,
    widen,
)
from ..backend import Array, Backend, backend_of
from ..parameters import check_array, known_to

__all__ = ["Rows", "nan_where", "open_rows", "row_entries", "row_vector"]


class Rows(NamedTuple):
    """Rows (..., n) in float32 or float64, and what leads back to the caller's array."""

    backend: Backend
    x: Array
    axis: int
    float_type: FloatInfo
    dtype: Any

    def close(self, y: Array) -> Array:
        """Return `y`, shaped like the rows, with the caller's axis and dtype."""
        xp = self.backend.namespace
        return axis_back(xp, narrow(xp, y, self.float_type, self.dtype), self.axis)


def open_rows(x: Array, axis: int = -1, *others: Any) -> Rows:
    """Check the array `x` and bring `axis` to the end.

    `others` are the further arguments: the adapter is that of the one that is traced, if one is.
    """
    backend = backend_of(x, *others)
    xp = backend.namespace
    float_type = check_dtype("x", x)
    axis = check_axis(axis, x)
    if others:  # one of them may be traced where `x` is not
        x = known_to(backend, x)
    rows = widen(xp, axis_last(xp, x, axis), float_type)
    return Rows(backend, rows, axis, float_type, x.dtype)


def row_vector(rows: Rows, name: str, w: Array) -> Array:
    """Check `w`, of shape (n,) or one vector a row, and broadcast it to the rows."""
    backend, x = rows.backend, rows.x
    xp = backend.namespace
    check_array(name, w, backend)
    check_dtype(name, w)
    shape, target = tuple(w.shape), tuple(x.shape)
    lead = zip(shape[-2::-1], target[-2::-1], strict=False)
    if (
        not shape
        or shape[-1] != target[-1]
        or len(shape) > len(target)
        or any(size not in (1, wanted) for size, wanted in lead)
    ):
        raise ValueError(f"`{name}` must broadcast to {target}, its last axis n; got shape {shape}")
    w = xp.broadcast_to(known_to(backend, w), target)
    return w if w.dtype == x.dtype else xp.astype(w, x.dtype)


def row_entries(rows: Rows, name: str, value: Any) -> Array:
    """Return a number, or what `row_vector` takes, as an array like the rows."""
    if isinstance(value, Real):
        number = check_number(name, value)
        return rows.backend.namespace.full_like(rows.backend.stop_gradient(rows.x), number)
    return row_vector(rows, name, value)


def nan_where(backend: Backend, bad: Array, y: Array) -> Array:
    """Return `y` with NaN in the rows where `bad`, of shape (..., 1), holds."""
    xp = backend.namespace
    return xp.where(bad, xp.full_like(backend.stop_gradient(y), float("nan")), y)
