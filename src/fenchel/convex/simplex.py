"""The simplex and the capped simplex: where probabilities and top-k masks live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_number
from ..backend import Array
from ..parameters import row_parameter
from ..trees import register_dataclass
from .entropic import project_kl_capped_simplex, project_kl_simplex
from .rows import Rows, open_rows
from .thresholds import hard_mask, mask_formula

__all__ = ["CappedSimplex", "Simplex", "project_capped_simplex", "project_simplex"]


@register_dataclass(static=("radius",))
@dataclass(frozen=True)
class Simplex:
    """The simplex {y >= 0, sum y = radius}.

    Parameters
    ----------
    radius
        Sum of the entries, at least 0.

    Raises
    ------
    ValueError
        If `radius` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Simplex
    >>> Simplex().project(np.asarray([0.5, 1.0, -1.0])).tolist()
    [0.25, 0.75, 0.0]
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        """Check the radius."""
        object.__setattr__(self, "radius", check_number("radius", self.radius, minimum=0.0))

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_simplex`)."""
        return project_simplex(x, radius=self.radius, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_simplex`)."""
        return project_kl_simplex(x, radius=self.radius, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: the radius at the largest entry, shared by ties."""
        rows = open_rows(x, axis)
        return rows.close(self.radius * hard_mask(rows.backend, rows.x, 1.0))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows = open_rows(x, axis)
        xp = rows.backend.namespace
        total = xp.sum(rows.x, axis=-1)
        return xp.all(rows.x >= -tol, axis=-1) & (xp.abs(total - self.radius) <= tol)


@register_dataclass(static=("k",))
@dataclass(frozen=True)
class CappedSimplex:
    """The capped simplex {0 <= y <= 1, sum y = k}: the hull of the 0/1 vectors with k ones.

    Parameters
    ----------
    k
        Sum of the entries, at least 0; may be fractional.

    Raises
    ------
    ValueError
        If `k` is negative, or, when an array comes, above its number of entries.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import CappedSimplex
    >>> CappedSimplex(2).project(np.asarray([3.0, 0.5, 0.25, -1.0])).tolist()
    [1.0, 0.625, 0.375, 0.0]
    """

    k: float

    def __post_init__(self) -> None:
        """Check the budget."""
        object.__setattr__(self, "k", check_number("k", self.k, minimum=0.0))

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_capped_simplex`)."""
        return project_capped_simplex(x, self.k, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_capped_simplex`)."""
        return project_kl_capped_simplex(x, self.k, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: ones at the k largest entries; ties share the rest."""
        rows = open_rows(x, axis)
        k = check_number("k", self.k, maximum=float(rows.x.shape[-1]))
        return rows.close(hard_mask(rows.backend, rows.x, k))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows = open_rows(x, axis)
        xp = rows.backend.namespace
        inside = xp.all((rows.x >= -tol) & (rows.x <= 1 + tol), axis=-1)
        return inside & (xp.abs(xp.sum(rows.x, axis=-1) - self.k) <= tol)


def project_simplex(x: Array, /, *, radius: Array | float = 1.0, axis: int = -1) -> Array:
    """Return the point of {y >= 0, sum y = radius} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n). Entries of -inf stay out.
    radius
        Sum of the entries, at least 0: a number or an array with one value a row (size 1 along
        `axis`).
    axis
        Axis that sums to the radius.

    Returns
    -------
    array
        max(x - tau, 0), like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `radius` is negative, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `radius`, to every order, almost everywhere; at the edge of
    the support one of the two one-sided ones. O(n) a row, without a sort where there is a kernel.

    References
    ----------
    Held, Wolfe and Crowder (1974), "Validation of subgradient optimization".

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_simplex
    >>> project_simplex(np.asarray([0.5, 1.0, -1.0]), radius=2.0).tolist()
    [0.75, 1.25, 0.0]
    """
    rows = open_rows(x, axis, radius)
    radius = row_parameter(rows.backend, "radius", radius, x, rows.axis, minimum=0.0)
    # y / radius is the mask of k = 1: its cap never binds. At radius 0 any mask will do.
    y, _ = mask_formula(rows.backend, rows.x, 1.0, _positive(rows, radius), 2.0)
    return rows.close(rows.backend.namespace.multiply(y, radius))


def project_capped_simplex(x: Array, k: Array | float, /, *, axis: int = -1) -> Array:
    """Return the point of {0 <= y <= 1, sum y = k} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n). Entries of -inf get 0, of +inf 1.
    k
        Sum of the entries, in [0, n], possibly fractional: a number or an array with one value a
        row (size 1 along `axis`).
    axis
        Axis that sums to `k`.

    Returns
    -------
    array
        clip(x - tau, 0, 1), like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `k` is outside [0, n], or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `k`, to every order, almost everywhere.

    References
    ----------
    Sander, Puigcerver, Djolonga, Peyré and Blondel (2023), arXiv:2302.01425.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_capped_simplex
    >>> project_capped_simplex(np.asarray([3.0, 0.5, 0.25, -1.0]), 1.5).tolist()
    [1.0, 0.375, 0.125, 0.0]
    """
    rows = open_rows(x, axis, k)
    n = float(rows.x.shape[-1])
    k = row_parameter(rows.backend, "k", k, x, rows.axis, minimum=0.0, maximum=n)
    return rows.close(mask_formula(rows.backend, rows.x, k, 1.0, 2.0)[0])


def _positive(rows: Rows, radius: Any) -> Any:
    """Return the radius, 1 where it is 0."""
    if isinstance(radius, float):
        return radius if radius > 0 else 1.0
    xp = rows.backend.namespace
    return xp.where(radius > 0, radius, xp.ones_like(radius))
