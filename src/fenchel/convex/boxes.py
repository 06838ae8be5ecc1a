"""Boxes: products of intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import axis_last, check_number
from ..backend import Array
from ..trees import register_dataclass
from .entropic import project_kl_cube
from .rows import Rows, open_rows

__all__ = ["Box", "Cube", "clip", "project_box", "project_cube"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Box:
    """The box {lower <= y <= upper}.

    Parameters
    ----------
    lower, upper
        Bounds: numbers, infinite ones included, or arrays that broadcast to the points.

    Raises
    ------
    ValueError
        If both are numbers and `lower` is above `upper`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Box
    >>> Box(-1.0, 2.0).project(np.asarray([-3.0, 0.5, 4.0])).tolist()
    [-1.0, 0.5, 2.0]
    """

    lower: Any
    upper: Any

    def __post_init__(self) -> None:
        """Check bounds that are numbers."""
        bounds = (self.lower, self.upper)
        if all(isinstance(bound, int | float) for bound in bounds):
            check_number("lower", self.lower)
            check_number("upper", self.upper)
            if self.lower > self.upper:
                raise ValueError(
                    "`lower` must be at most `upper`; "
                    f"got lower={self.lower:g}, upper={self.upper:g}"
                )

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the box (see `project_box`)."""
        return project_box(x, self.lower, self.upper, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: the bound x points to, the point nearest 0 where x is 0."""
        rows = open_rows(x, axis, self.lower, self.upper)
        xp = rows.backend.namespace
        lower, upper = (_bound(rows, bound, axis) for bound in (self.lower, self.upper))
        centre = clip(xp, xp.zeros_like(rows.x), lower, upper)
        y = xp.where(rows.x > 0, upper, xp.where(rows.x < 0, lower, centre))
        return rows.close(xp.where(xp.isnan(rows.x), rows.x, y))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the box up to `tol`."""
        rows = open_rows(x, axis, self.lower, self.upper)
        xp = rows.backend.namespace
        lower, upper = (_bound(rows, bound, axis) for bound in (self.lower, self.upper))
        return xp.all((rows.x >= lower - tol) & (rows.x <= upper + tol), axis=-1)


@register_dataclass()
@dataclass(frozen=True)
class Cube:
    """The unit cube {0 <= y <= 1}.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Cube
    >>> Cube().project(np.asarray([-0.5, 0.25, 2.0])).tolist()
    [0.0, 0.25, 1.0]
    """

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the cube (see `project_cube`)."""
        return project_cube(x, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_cube`)."""
        return project_kl_cube(x, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: 1 where x is positive, else 0."""
        return Box(0.0, 1.0).linear_argmax(x, axis=axis)

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the cube up to `tol`."""
        return Box(0.0, 1.0).contains(x, tol, axis=axis)


def project_box(
    x: Array, lower: Array | float, upper: Array | float, /, *, axis: int = -1
) -> Array:
    """Return the point of {lower <= y <= upper} nearest to `x`: entries clipped to the bounds.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n).
    lower, upper
        Bounds: numbers or arrays that broadcast to `x`.
    axis
        Axis of the entries; it does not matter here.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `lower` is above `upper`, both numbers, or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and in array bounds; at a bound, that of the inside.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_box
    >>> project_box(np.asarray([-3.0, 0.5, 4.0]), 0.0, np.asarray([1.0, 2.0, 3.0])).tolist()
    [0.0, 0.5, 3.0]
    """
    Box(lower, upper)  # checks numbers
    rows = open_rows(x, axis, lower, upper)
    low, high = (_bound(rows, bound, axis) for bound in (lower, upper))
    return rows.close(clip(rows.backend.namespace, rows.x, low, high))


def project_cube(x: Array, /, *, axis: int = -1) -> Array:
    """Return the point of the unit cube nearest to `x`: entries clipped to [0, 1].

    Parameters
    ----------
    x
        Points, real floating of shape (..., n).
    axis
        Axis of the entries; it does not matter here.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: 1 inside, 0 outside, and 1 at a face.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_cube
    >>> project_cube(np.asarray([-0.5, 0.25, 2.0])).tolist()
    [0.0, 0.25, 1.0]
    """
    return project_box(x, 0.0, 1.0, axis=axis)


def _bound(rows: Rows, bound: Any, axis: int) -> Any:
    """Return a bound as an array like the rows."""
    xp = rows.backend.namespace
    if isinstance(bound, int | float):
        return xp.full_like(rows.x, float(bound))
    shape = list(rows.x.shape)
    shape.insert(rows.axis, shape.pop())
    full = axis_last(xp, xp.broadcast_to(bound, tuple(shape)), rows.axis)
    return full if full.dtype == rows.x.dtype else xp.astype(full, rows.x.dtype)


def clip(xp: Any, x: Array, lower: Array, upper: Array) -> Array:
    """Return `x` between the bounds; at a bound the derivative is that of the inside."""
    x = xp.where(xp.less(x, lower), lower, x)
    return xp.where(xp.greater(x, upper), upper, x)
