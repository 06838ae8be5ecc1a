"""Balls of the norms of index 1, 2 and infinity."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..arrays import check_number
from ..backend import Array
from ..parameters import row_parameter
from ..trees import register_dataclass
from .boxes import clip
from .norms import finite_direction, row_norm, signs
from .rows import Rows, nan_where, open_rows
from .thresholds import hard_mask, mask_formula

__all__ = [
    "L1Ball",
    "L2Ball",
    "LInfBall",
    "project_l1_ball",
    "project_l2_ball",
    "project_linf_ball",
]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class L1Ball:
    """The ball {sum |y| <= radius}, whose projection is sparse.

    Parameters
    ----------
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).

    Raises
    ------
    ValueError
        If `radius` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import L1Ball
    >>> L1Ball().project(np.asarray([0.5, -1.0, 0.125])).tolist()
    [0.25, -0.75, 0.0]
    """

    radius: Any = 1.0

    def __post_init__(self) -> None:
        """Check the radius."""
        _store_radius(self)

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the ball (see `project_l1_ball`)."""
        return project_l1_ball(x, self.radius, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: at the largest entries in size, which share the radius."""
        rows, radius = _open(x, self.radius, axis)
        xp = rows.backend.namespace
        size = xp.abs(rows.x)
        peak = signs(rows.backend, rows.x) * hard_mask(rows.backend, size, 1.0)
        return rows.close(xp.multiply(peak, radius))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the ball up to `tol`."""
        rows, radius = _open(x, self.radius, axis)
        xp = rows.backend.namespace
        return xp.all(xp.sum(xp.abs(rows.x), axis=-1, keepdims=True) <= radius + tol, axis=-1)


@register_dataclass()
@dataclass(frozen=True, eq=False)
class L2Ball:
    """The Euclidean ball {|y| <= radius}.

    Parameters
    ----------
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).

    Raises
    ------
    ValueError
        If `radius` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import L2Ball
    >>> L2Ball(2.5).project(np.asarray([3.0, -4.0])).tolist()
    [1.5, -2.0]
    """

    radius: Any = 1.0

    def __post_init__(self) -> None:
        """Check the radius."""
        _store_radius(self)

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the ball (see `project_l2_ball`)."""
        return project_l2_ball(x, self.radius, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the maximiser of <x, y>, the radius in the direction of x; 0 where x is 0."""
        rows, radius = _open(x, self.radius, axis)
        xp, x = rows.backend.namespace, finite_direction(rows.backend, rows.x)
        norm = row_norm(rows.backend, x)
        none = norm == 0
        unit = x / xp.where(none, xp.ones_like(norm), norm)
        return rows.close(xp.multiply(unit, radius))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the ball up to `tol`."""
        rows, radius = _open(x, self.radius, axis)
        inside = row_norm(rows.backend, rows.x) <= radius + tol
        return rows.backend.namespace.all(inside, axis=-1)


@register_dataclass()
@dataclass(frozen=True, eq=False)
class LInfBall:
    """The ball {max |y| <= radius}.

    Parameters
    ----------
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).

    Raises
    ------
    ValueError
        If `radius` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import LInfBall
    >>> LInfBall().project(np.asarray([3.0, -0.5])).tolist()
    [1.0, -0.5]
    """

    radius: Any = 1.0

    def __post_init__(self) -> None:
        """Check the radius."""
        _store_radius(self)

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the ball (see `project_linf_ball`)."""
        return project_linf_ball(x, self.radius, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: the radius with the signs of x."""
        rows, radius = _open(x, self.radius, axis)
        xp = rows.backend.namespace
        return rows.close(xp.multiply(signs(rows.backend, rows.x), radius))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the ball up to `tol`."""
        rows, radius = _open(x, self.radius, axis)
        xp = rows.backend.namespace
        return xp.all(xp.abs(rows.x) <= radius + tol, axis=-1)


def project_l1_ball(x: Array, radius: Array | float = 1.0, /, *, axis: int = -1) -> Array:
    """Return the point of {sum |y| <= radius} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n). Infinite entries share the radius.
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries.

    Returns
    -------
    array
        sign(x) max(|x| - tau, 0), tau = 0 inside the ball; like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `radius` is negative, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `radius`, to every order, almost everywhere; on the sphere
    those of the inside. A row of an array `radius` below 0 is NaN.

    References
    ----------
    Duchi, Shalev-Shwartz, Singer and Chandra (2008), "Efficient projections onto the l1-ball".

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_l1_ball
    >>> project_l1_ball(np.asarray([0.5, -1.0, 0.125]), 0.5).tolist()
    [0.0, -0.5, 0.0]
    """
    rows, radius = _open(x, radius, axis)
    backend, x = rows.backend, rows.x
    xp = backend.namespace
    positive = _positive(rows, radius)
    size = xp.abs(x)
    y = xp.multiply(mask_formula(backend, size, 1.0, positive, 2.0)[0], positive) * signs(
        backend, x
    )
    inside = xp.sum(backend.stop_gradient(size), axis=-1, keepdims=True) <= radius
    return rows.close(_at_zero(rows, radius, xp.where(inside, x, y)))


def project_l2_ball(x: Array, radius: Array | float = 1.0, /, *, axis: int = -1) -> Array:
    """Return the point of {|y| <= radius} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n); a row with infinite entries counts by their signs.
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries.

    Returns
    -------
    array
        x min(1, radius / |x|), like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `radius` is negative, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `radius`, to every order; on the sphere those of the inside,
    at 0 the identity. Squares do not overflow. A row of an array `radius` below 0 is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_l2_ball
    >>> project_l2_ball(np.asarray([3.0, -4.0]), 2.5).tolist()
    [1.5, -2.0]
    """
    rows, radius = _open(x, radius, axis)
    backend = rows.backend
    xp = backend.namespace
    infinite = xp.any(xp.isinf(backend.stop_gradient(rows.x)), axis=-1, keepdims=True)
    z = finite_direction(backend, rows.x)
    norm = row_norm(backend, z)
    outside = ~(norm <= radius) | infinite  # a norm of NaN too, which makes the row NaN
    shrunk = xp.where(outside & (norm != 0), norm, xp.ones_like(norm))
    y = xp.where(outside, xp.multiply(z / shrunk, radius), z)
    return rows.close(_at_zero(rows, radius, y))


def project_linf_ball(x: Array, radius: Array | float = 1.0, /, *, axis: int = -1) -> Array:
    """Return the point of {max |y| <= radius} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n).
    radius
        At least 0: a number, or an array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries.

    Returns
    -------
    array
        clip(x, -radius, radius), like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `radius` is negative, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `radius`; on a face those of the inside. A row of an array
    `radius` below 0 is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_linf_ball
    >>> project_linf_ball(np.asarray([3.0, -0.5]), 0.25).tolist()
    [0.25, -0.25]
    """
    rows, radius = _open(x, radius, axis)
    xp = rows.backend.namespace
    bound = xp.zeros_like(rows.x) + radius
    return rows.close(_at_zero(rows, radius, clip(xp, rows.x, -bound, bound)))


def _store_radius(ball: Any) -> None:
    """Check a radius that is a number; an array is checked where it meets the rows."""
    if isinstance(ball.radius, Real):
        object.__setattr__(ball, "radius", check_number("radius", ball.radius, minimum=0.0))


def _open(x: Array, radius: Any, axis: int) -> tuple[Rows, Any]:
    """Return the rows of `x`, and the radius of each."""
    rows = open_rows(x, axis, radius)
    return rows, row_parameter(rows.backend, "radius", radius, x, rows.axis, minimum=0.0)


def _positive(rows: Rows, radius: Any) -> Any:
    """Return the radius, 1 where there is none."""
    if isinstance(radius, float):
        return radius if radius > 0 else 1.0
    xp = rows.backend.namespace
    return xp.where(radius > 0, radius, xp.ones_like(radius))


def _at_zero(rows: Rows, radius: Any, y: Array) -> Array:
    """Return `y`, but 0 with derivative 0 in `x` at radius 0, and NaN below."""
    xp = rows.backend.namespace
    if isinstance(radius, float):
        return y if radius > 0 else y * 0.0
    fixed = rows.backend.stop_gradient(radius)
    empty = nan_where(rows.backend, ~(fixed >= 0), rows.backend.stop_gradient(y) * 0.0)
    return xp.where(fixed > 0, y, empty)
