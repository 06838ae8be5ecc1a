"""An argument of a set or projection as rows: checks, event axis last, half types widened."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import FloatInfo, axis_back, axis_last, check_axis, check_dtype, narrow, widen
from ..backend import Array, Backend, backend_of
from ..parameters import check_array

__all__ = ["Rows", "open_rows", "row_vector"]


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
    w = xp.broadcast_to(w, target)
    return w if w.dtype == x.dtype else xp.astype(w, x.dtype)
