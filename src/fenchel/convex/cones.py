"""The second-order cone."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array, Backend
from ..trees import register_dataclass
from .norms import finite_direction, row_norm
from .recession import along_recession
from .rows import open_rows

__all__ = ["SecondOrderCone", "project_second_order_cone"]


@register_dataclass()
@dataclass(frozen=True)
class SecondOrderCone:
    """The second-order cone {(z, t): |z| <= t}, t the last entry; at n = 1 it is {t >= 0}.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import SecondOrderCone
    >>> SecondOrderCone().project(np.asarray([3.0, 4.0, 0.0])).tolist()
    [1.5, 2.0, 2.5]
    """

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the cone (see `project_second_order_cone`)."""
        return project_second_order_cone(x, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: 0 if -x is in the cone, else infinite.

        Where the maximum is infinite, entries are infinite with the sign of the projection of x
        on the cone, or 0.
        """
        rows = open_rows(x, axis)
        xp, x = rows.backend.namespace, finite_direction(rows.backend, rows.x)
        direction = _nearest(rows.backend, x)
        return rows.close(along_recession(rows.backend, x, direction, xp.zeros_like(x)))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the cone up to `tol`."""
        rows = open_rows(x, axis)
        norm, height = _parts(rows.backend, rows.x)
        return rows.backend.namespace.all(norm <= height + tol, axis=-1)


def project_second_order_cone(x: Array, /, *, axis: int = -1) -> Array:
    """Return the point of {(z, t): |z| <= t} nearest to each row of `x`, t its last entry.

    Parameters
    ----------
    x
        Points (z, t), real floating of shape (..., n); a row with infinite entries counts by their
        signs.
    axis
        Axis of the entries.

    Returns
    -------
    array
        x inside, 0 where |z| <= -t, else (|z| + t)/2 (z/|z|, 1); like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: to every order; on the boundary those of the inside, at z = 0 too. Squares do
    not overflow.

    References
    ----------
    Parikh and Boyd (2014), "Proximal algorithms", section 6.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_second_order_cone
    >>> project_second_order_cone(np.asarray([[3.0, 4.0, 0.0], [3.0, 4.0, -6.0]])).tolist()
    [[1.5, 2.0, 2.5], [0.0, 0.0, 0.0]]
    """
    rows = open_rows(x, axis)
    return rows.close(_nearest(rows.backend, rows.x))


def _nearest(backend: Backend, x: Array) -> Array:
    xp = backend.namespace
    infinite = xp.any(xp.isinf(backend.stop_gradient(x)), axis=-1, keepdims=True)
    x = finite_direction(backend, x)
    norm, height = _parts(backend, x)
    inside, polar = norm <= height, norm <= -height
    between = ~(inside | polar)  # a norm of NaN too, which makes the row NaN
    safe = xp.where(between & (norm != 0), norm, xp.ones_like(norm))
    scale = (1 + xp.where(between, height, xp.zeros_like(height)) / safe) / 2
    cone = xp.concat([x[..., :-1] * scale, (norm + height) / 2], axis=-1)
    y = xp.where(inside, x, xp.where(between, cone, xp.zeros_like(x)))
    # The direction of a limit stands for the entries that it has: infinite ones.
    fixed = backend.stop_gradient(y)
    infinity = xp.full_like(fixed, float("inf"))
    far = xp.where(fixed > 0, infinity, xp.where(fixed < 0, -infinity, fixed))
    return xp.where(infinite, far, y)


def _parts(backend: Backend, x: Array) -> tuple[Array, Array]:
    """Return |z| and t of each row, (..., 1)."""
    z, height = x[..., :-1], x[..., -1:]
    if z.shape[-1] == 0:
        return backend.namespace.zeros_like(height), height
    return row_norm(backend, z), height
