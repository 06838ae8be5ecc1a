"""From the public function to the library's own one, or to ours over the array API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of

__all__ = ["chebyshev", "elementwise", "real_part"]

Array = Any


def elementwise(name: str, ours: Callable[[Any, Array], Array], x: Array) -> Array:
    """Apply the library's special function `name`, or `ours(xp, x)` where it has none.

    Half types are computed in float32.

    Raises
    ------
    TypeError
        If `x` is not an array of a real floating dtype.
    """
    backend = backend_of(x)
    info, xp = check_dtype("x", x), backend.namespace
    native = backend.special(name)
    wide = widen(xp, x, info)
    y = ours(xp, wide) if native is None else native(wide)
    return narrow(xp, y, info, x.dtype)


def chebyshev(t: Array, coefficients: tuple[float, ...]) -> Array:
    """Sum a Chebyshev series on [-1, 1] by Clenshaw's recurrence."""
    double = t + t
    last, before = 0.0 * t + coefficients[-1], 0.0
    for c in coefficients[-2:0:-1]:
        last, before = double * last - before + c, last
    return t * last - before + coefficients[0]


def real_part(xp: Any, x: Array) -> Array:
    """Return what branches are decided by: the real part, so that the complex step is exact."""
    return xp.real(x) if xp.isdtype(x.dtype, "complex floating") else x
