"""An argument that is a matrix a problem, and the marginals that go with it."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from ..arrays import FloatInfo, check_dtype, check_number, narrow, widen
from ..backend import Array, Backend, backend_of
from ..parameters import check_array, known_to

__all__ = ["Matrices", "check_marginals", "marginal", "matrix_temperature", "open_matrices"]

# What rounding, half precision and the steps of numerical derivatives may take from a total.
_TOTALS_TOLERANCE = 1e-2


class Matrices(NamedTuple):
    """Matrices (..., n, m) in float32 or float64, and what leads back to the caller's array."""

    backend: Backend
    x: Array
    float_type: FloatInfo
    dtype: Any

    def close(self, y: Array) -> Array:
        """Return `y` in the caller's dtype."""
        return narrow(self.backend.namespace, y, self.float_type, self.dtype)

    def cast(self, x: Array) -> Array:
        """Return `x` in the dtype of the matrices."""
        return x if x.dtype == self.x.dtype else self.backend.namespace.astype(x, self.x.dtype)


def open_matrices(x: Array, *others: Any, name: str = "x") -> Matrices:
    """Check the array `x`, whose last two axes are those of matrices.

    `others` are the further arguments: the adapter is that of the one that is traced, if one is.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If it has no such axes, or they are empty.
    """
    backend = backend_of(x, *(other for other in others if other is not None))
    float_type = check_dtype(name, x)
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise ValueError(
            f"`{name}` must be non-empty matrices on its last two axes; got shape {tuple(x.shape)}"
        )
    wide = widen(backend.namespace, known_to(backend, x), float_type)
    return Matrices(backend, wide, float_type, x.dtype)


def marginal(problem: Matrices, name: str, value: Array, size: int) -> Array:
    """Check a marginal of shape (..., size), and broadcast it over the batch.

    Raises
    ------
    TypeError
        If it is no array of the library with a real floating dtype.
    ValueError
        If it does not broadcast.
    """
    backend = problem.backend
    check_array(name, value, backend)
    check_dtype(name, value)
    wanted = (*problem.x.shape[:-2], size)
    shape = tuple(value.shape)
    lead = zip(shape[-2::-1], wanted[-2::-1], strict=False)
    if (
        not shape
        or shape[-1] != size
        or len(shape) > len(wanted)
        or any(given not in (1, batch) for given, batch in lead)
    ):
        raise ValueError(f"`{name}` must broadcast to {wanted}; got shape {shape}")
    value = problem.cast(known_to(backend, value))
    return value if shape == wanted else backend.namespace.broadcast_to(value, wanted)


def check_marginals(problem: Matrices, a: Array, b: Array) -> None:
    """Check the values of two marginals, where they can be looked at.

    Raises
    ------
    ValueError
        If one has a negative entry, or their totals differ.
    """
    backend = problem.backend
    a, b = backend.stop_gradient(a), backend.stop_gradient(b)
    if backend.is_traced(a) or backend.is_traced(b):
        return
    xp = backend.namespace
    for name, value in (("a", a), ("b", b)):
        if bool(xp.any(value < 0)):
            raise ValueError(f"`{name}` must not be negative; got {float(xp.min(value)):g}")
    totals = xp.sum(a, axis=-1), xp.sum(b, axis=-1)
    # A NaN, which is to come out as NaN, passes.
    apart = xp.abs(totals[0] - totals[1])
    if bool(xp.any(apart > _TOTALS_TOLERANCE * (totals[0] + totals[1]) / 2)):
        raise ValueError(
            f"`a` and `b` must have the same total; got totals {float(xp.max(apart)):g} apart"
        )


def matrix_temperature(problem: Matrices, value: Any) -> Any:
    """Return a temperature: a number >= 0, or an array with size 1 in place of rows and columns.

    Raises
    ------
    TypeError
        If it is neither a number nor an array of the library.
    ValueError
        If it is a negative number, or an array that does not broadcast.
    """
    if isinstance(value, Real):
        return check_number("temperature", value, minimum=0.0)
    backend = problem.backend
    check_array("temperature", value, backend)
    check_dtype("temperature", value)
    value, batch = problem.cast(known_to(backend, value)), tuple(problem.x.shape[:-2])
    if value.ndim == 0:
        return backend.namespace.reshape(value, (1, 1))
    shape = tuple(value.shape)
    lead = zip(shape[-3::-1], batch[::-1], strict=False)
    if (
        shape[-2:] != (1, 1)
        or len(shape) > len(batch) + 2
        or any(given not in (1, size) for given, size in lead)
    ):
        raise ValueError(f"`temperature` must broadcast to {(*batch, 1, 1)}; got shape {shape}")
    return value
