"""The section of a box by a hyperplane."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..arrays import check_number
from ..backend import Array
from ..parameters import row_parameter
from ..trees import register_dataclass
from .rows import Rows, open_rows, row_entries
from .section import linear_section, project_section
from .section_search import products

__all__ = ["BoxSection", "per_row", "project_box_section"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class BoxSection:
    """The section {lower <= y <= upper, <weights, y> = total} of a box by a hyperplane.

    Parameters
    ----------
    lower, upper
        Bounds: numbers, infinite ones included, or arrays of shape (n,), or one vector a row.
    weights
        Number or array like the bounds, of any signs.
    total
        Number, or array with one value a row (size 1 along `axis`).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import BoxSection
    >>> found = BoxSection(0.0, 1.0, np.asarray([1.0, 2.0, 1.0]), 2.0)
    >>> found.project(np.asarray([0.5, 1.0, 2.0])).round(12).tolist()
    [0.2, 0.4, 1.0]
    """

    lower: Any
    upper: Any
    weights: Any
    total: Any

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_box_section`)."""
        return project_box_section(x, self.lower, self.upper, self.weights, self.total, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>; ties share; NaN where a bound is infinite.

        Entries go to a bound by their ratio to the weight, as in the fractional knapsack.
        """
        rows, *parts = _open(x, self.lower, self.upper, self.weights, self.total, axis)
        return rows.close(linear_section(rows.backend, rows.x, *parts))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows, lower, upper, weights, total = _open(
            x, self.lower, self.upper, self.weights, self.total, axis
        )
        xp, x = rows.backend.namespace, rows.x
        inside = xp.all((x >= lower - tol) & (x <= upper + tol), axis=-1)
        sums = xp.sum(products(xp, weights, x), axis=-1, keepdims=True)
        return inside & xp.all(xp.abs(sums - total) <= tol, axis=-1)


def project_box_section(
    x: Array,
    lower: Array | float,
    upper: Array | float,
    weights: Array | float,
    total: Array | float,
    /,
    *,
    axis: int = -1,
) -> Array:
    """Return the point of {lower <= y <= upper, <weights, y> = total} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n). Infinite entries get the bound on their side; where
        that is infinite too, the row is NaN.
    lower, upper
        Bounds: numbers, infinite ones included, or arrays of shape (n,), or one vector a row,
        entries last.
    weights
        Number or array like the bounds, of any signs.
    total
        Number, or array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        clip(x - tau weights, lower, upper), like `x`. A row whose set is empty is NaN.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If all parameters are numbers and the set is empty, an array does not broadcast to the rows,
        or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and every array among the parameters, to every order, almost everywhere:
    v - w (w.v)/|w|^2 on the free entries, 0 if there are none. O(n) a pass, a few passes a row.

    References
    ----------
    Kiwiel (2008), "Breakpoint searching algorithms for the continuous quadratic knapsack problem".

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_box_section
    >>> x = np.asarray([0.5, 1.0, 2.0])
    >>> project_box_section(x, -1.0, 1.0, 1.0, 0.5).tolist()
    [-0.5, 0.0, 1.0]
    """
    rows, *parts = _open(x, lower, upper, weights, total, axis)
    return rows.close(project_section(rows.backend, rows.x, *parts))


def _open(
    x: Array, lower: Any, upper: Any, weights: Any, total: Any, axis: int
) -> tuple[Rows, Array, Array, Array, Array]:
    """Return the rows of `x` and the parameters of each, checked."""
    rows = open_rows(x, axis, lower, upper, weights, total)
    if all(isinstance(value, Real) for value in (lower, upper, weights, total)):
        _check_numbers(float(lower), float(upper), float(weights), float(total), rows.x.shape[-1])
    named = (("lower", lower), ("upper", upper), ("weights", weights))
    low, high, w = (row_entries(rows, name, value) for name, value in named)
    return rows, low, high, w, per_row(rows, "total", total, x)


def per_row(rows: Rows, name: str, value: Any, x: Array) -> Array:
    """Return a parameter of each row as an array (..., 1), numbers too."""
    value = row_parameter(rows.backend, name, value, x, rows.axis)
    if isinstance(value, float):
        check_number(name, value)
        xp, data = rows.backend.namespace, rows.backend.stop_gradient(rows.x)
        # Not a slice: torch without CUDA cannot slice its fake tensors of a GPU.
        return xp.full_like(xp.max(data, axis=-1, keepdims=True), value)
    return value


def _check_numbers(lower: float, upper: float, weights: float, total: float, n: int) -> None:
    """Raise ValueError if the section of a box with equal sides is empty."""
    if not lower <= upper:
        raise ValueError(f"`lower` must be at most `upper`; got lower={lower:g}, upper={upper:g}")
    ends = sorted((n * weights * lower, n * weights * upper)) if weights else [0.0, 0.0]
    slack = 1e-12 * max(1.0, abs(total))
    if not ends[0] - slack <= total <= ends[1] + slack:
        raise ValueError(
            f"`total` must be in [{ends[0]:g}, {ends[1]:g}]; got total={total:g} with n={n}"
        )
