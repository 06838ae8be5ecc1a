"""The whole space and the non-negative orthant."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array
from ..trees import register_dataclass
from .boxes import Box
from .entropic import project_kl_nonnegative
from .rows import open_rows

__all__ = ["NonNegative", "Reals", "project_nonnegative"]


@register_dataclass()
@dataclass(frozen=True)
class Reals:
    """The whole space R^n.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Reals
    >>> Reals().project(np.asarray([-0.5, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return `x`."""
        open_rows(x, axis)
        return x

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the limit of maximisers of <x, y>: infinite where x is not 0."""
        infinity = float("inf")
        return Box(-infinity, infinity).linear_argmax(x, axis=axis)

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is free of NaN."""
        rows = open_rows(x, axis)
        xp = rows.backend.namespace
        return ~xp.any(xp.isnan(rows.x), axis=-1)


@register_dataclass()
@dataclass(frozen=True)
class NonNegative:
    """The non-negative orthant {y >= 0}.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import NonNegative
    >>> NonNegative().project(np.asarray([-0.5, 2.0])).tolist()
    [0.0, 2.0]
    """

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_nonnegative`)."""
        return project_nonnegative(x, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_nonnegative`)."""
        return project_kl_nonnegative(x, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the limit of maximisers of <x, y>: infinite where x is positive, else 0."""
        return Box(0.0, float("inf")).linear_argmax(x, axis=axis)

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows = open_rows(x, axis)
        return rows.backend.namespace.all(rows.x >= -tol, axis=-1)


def project_nonnegative(x: Array, /, *, axis: int = -1) -> Array:
    """Return the non-negative point nearest to `x`: max(x, 0).

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
    *Derivatives*: 1 where x is positive or 0, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_nonnegative
    >>> project_nonnegative(np.asarray([-0.5, 2.0])).tolist()
    [0.0, 2.0]
    """
    rows = open_rows(x, axis)
    xp = rows.backend.namespace
    return rows.close(xp.where(rows.x < 0, xp.zeros_like(rows.x), rows.x))
