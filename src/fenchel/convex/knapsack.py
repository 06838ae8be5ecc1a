"""The knapsack polytope: the unit cube under one linear budget."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..backend import Array
from ..trees import register_dataclass
from .box_section import per_row
from .boxes import clip
from .entropic_section import clipped_exp, kl_section
from .rows import Rows, nan_where, open_rows, row_entries
from .section import linear_section, project_section
from .section_search import products
from .thresholds import mask_formula

__all__ = ["Knapsack", "project_kl_knapsack", "project_knapsack"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Knapsack:
    """The knapsack polytope {0 <= y <= 1, <weights, y> <= capacity}.

    Parameters
    ----------
    weights
        Number, or array of shape (n,), or one vector a row; of any signs (for `project_kl` at
        least 0).
    capacity
        Number, or array with one value a row (size 1 along `axis`).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Knapsack
    >>> found = Knapsack(np.asarray([1.0, 2.0, 1.0]), 2.0)
    >>> found.project(np.asarray([0.5, 1.0, 2.0])).round(12).tolist()
    [0.2, 0.4, 1.0]
    >>> found.project(np.asarray([0.5, -1.0, 2.0])).tolist()
    [0.5, 0.0, 1.0]
    """

    weights: Any
    capacity: Any

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_knapsack`)."""
        return project_knapsack(x, self.weights, self.capacity, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_knapsack`)."""
        return project_kl_knapsack(x, self.weights, self.capacity, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: the fractional knapsack; ties share the rest."""
        rows, weights, capacity = _open(x, self.weights, self.capacity, axis)
        backend = rows.backend
        xp, fixed = backend.namespace, backend.stop_gradient(rows.x)
        zeros, ones = xp.zeros_like(fixed), xp.ones_like(fixed)
        wanted = xp.where(fixed > 0, ones, zeros)
        wanted = nan_where(backend, xp.any(xp.isnan(fixed), axis=-1, keepdims=True), wanted)
        # Entries that gain nothing but make room are taken where the budget binds.
        tight = _over(xp, wanted, backend.stop_gradient(weights), capacity)
        full = linear_section(backend, rows.x, zeros, ones, weights, capacity)
        return rows.close(xp.where(tight, full, wanted))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows, weights, capacity = _open(x, self.weights, self.capacity, axis)
        xp, x = rows.backend.namespace, rows.x
        inside = xp.all((x >= -tol) & (x <= 1 + tol), axis=-1)
        return inside & ~xp.all(_over(xp, x, weights, capacity + tol), axis=-1)


def project_knapsack(
    x: Array, weights: Array | float, capacity: Array | float, /, *, axis: int = -1
) -> Array:
    """Return the point of {0 <= y <= 1, <weights, y> <= capacity} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n). Entries of -inf get 0, of inf 1.
    weights
        Number, or array of shape (n,), or one vector a row, entries last; of any signs.
    capacity
        Number, or array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        clip(x - tau weights, 0, 1), tau = 0 if the budget allows it; like `x`. A row whose set is
        empty is NaN.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If both parameters are numbers and the set is empty, an array does not broadcast to the
        rows, or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and array parameters, to every order, almost everywhere: the identity on
    the free entries, less the part along `weights` where the budget binds. O(n) a pass, a few
    passes a row.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_knapsack
    >>> project_knapsack(np.asarray([0.75, 0.5, 3.0]), 1.0, 1.75).tolist()
    [0.5, 0.25, 1.0]
    """
    rows, w, c = _open(x, weights, capacity, axis)
    backend, z = rows.backend, rows.x
    xp = backend.namespace
    zeros, ones = xp.zeros_like(backend.stop_gradient(z)), xp.ones_like(backend.stop_gradient(z))
    inside = clip(xp, z, zeros, ones)
    tight = _over(xp, backend.stop_gradient(inside), backend.stop_gradient(w), c)
    if isinstance(weights, Real) and float(weights) > 0:
        budget = c / float(weights)
        n = xp.full_like(budget, float(z.shape[-1]))
        budget = xp.where(budget < n, budget, n)
        bound = nan_where(backend, budget < 0, mask_formula(backend, z, budget, 1.0, 2.0)[0])
    else:
        bound = project_section(backend, z, zeros, ones, w, c)
    unknown = xp.any(xp.isnan(backend.stop_gradient(w * c)), axis=-1, keepdims=True)
    return rows.close(nan_where(backend, unknown, xp.where(tight, bound, inside)))


def project_kl_knapsack(
    x: Array, weights: Array | float, capacity: Array | float, /, *, axis: int = -1
) -> Array:
    """Return the entropic projection of each row on {0 <= y <= 1, <weights, y> <= capacity}.

    It is the maximiser of <x, y> - sum(y log y - y) over the set.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Entries of -inf get 0.
    weights
        Number, or array of shape (n,), or one vector a row, entries last; at least 0.
    capacity
        Number, or array with one value a row (size 1 along `axis`); at least 0.
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        min(exp(x - tau weights), 1), tau = 0 if the budget allows it; like `x`. A row with a
        negative weight or capacity is NaN.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If both parameters are numbers and one is negative, an array does not broadcast to the rows,
        or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and array parameters, to every order if `weights` is a number, else to
    order three, almost everywhere; 0 at capacity 0.

    References
    ----------
    Blondel (2019), "Structured prediction with projection oracles", arXiv:1910.11369.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_knapsack
    >>> project_kl_knapsack(np.log(np.asarray([0.5, 1.5, 4.0])), 1.0, 1.5).round(12).tolist()
    [0.125, 0.375, 1.0]
    """
    rows, w, c = _open(x, weights, capacity, axis)
    if isinstance(weights, Real) and float(weights) < 0:
        raise ValueError(f"`weights` must be at least 0; got weights={float(weights):g}")
    backend = rows.backend
    xp, fixed = backend.namespace, backend.stop_gradient(w)
    inside = clipped_exp(xp, rows.x)
    tight = _over(xp, backend.stop_gradient(inside), fixed, c)
    bound = kl_section(backend, rows.x, w, c, uniform=isinstance(weights, Real))
    refused = xp.any(~(fixed >= 0), axis=-1, keepdims=True) | ~(backend.stop_gradient(c) >= 0)
    return rows.close(nan_where(backend, refused, xp.where(tight, bound, inside)))


def _open(x: Array, weights: Any, capacity: Any, axis: int) -> tuple[Rows, Array, Array]:
    """Return the rows of `x` and the parameters of each, checked."""
    rows = open_rows(x, axis, weights, capacity)
    if isinstance(weights, Real) and isinstance(capacity, Real):
        least = min(0.0, float(weights) * rows.x.shape[-1])
        if not float(capacity) >= least:
            raise ValueError(
                f"`capacity` must be at least {least:g}; got capacity={float(capacity):g}"
            )
    w = row_entries(rows, "weights", weights)
    return rows, w, per_row(rows, "capacity", capacity, x)


def _over(xp: Any, y: Array, weights: Array, capacity: Array) -> Array:
    """Return whether a point is over the budget, (..., 1); NaN is not."""
    return xp.sum(products(xp, weights, y), axis=-1, keepdims=True) > capacity
