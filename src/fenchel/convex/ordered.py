"""Sets of ordered vectors and of permutations, projected on by isotonic regression."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array, Backend
from ..kernels import structure_kernel
from ..trees import register_dataclass
from .blocks import block_deviation, block_mean, gather, positions, spread_nan
from .entropic import project_kl_order_simplex, project_kl_permutahedron
from .isotonic import isotonic_regression
from .order import ascending_order, inverse_order
from .pooling import pool_squared
from .rows import open_rows, row_vector

__all__ = ["OrderSimplex", "Permutahedron", "project_order_simplex", "project_permutahedron"]


@register_dataclass()
@dataclass(frozen=True)
class OrderSimplex:
    """The order simplex {1 >= y_1 >= ... >= y_n >= 0}: cumulative targets of ordinal regression.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import OrderSimplex
    >>> OrderSimplex().project(np.asarray([2.0, 0.25, 0.75, -1.0])).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_order_simplex`)."""
        return project_order_simplex(x, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_order_simplex`)."""
        return project_kl_order_simplex(x, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: ones up to the largest partial sum, then zeros."""
        rows = open_rows(x, axis)
        xp = rows.backend.namespace
        sums = xp.cumulative_sum(rows.x, axis=-1, include_initial=True)
        ones = xp.argmax(sums, axis=-1, keepdims=True)
        return rows.close(xp.astype(positions(rows.backend, rows.x) < ones, rows.x.dtype))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether it is in the set up to `tol`."""
        rows = open_rows(x, axis)
        xp = rows.backend.namespace
        ends = (rows.x[..., 0] <= 1 + tol) & (rows.x[..., -1] >= -tol)
        return ends & xp.all(rows.x[..., 1:] <= rows.x[..., :-1] + tol, axis=-1)


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Permutahedron:
    """The permutahedron of `w`: the convex hull of its permutations.

    Parameters
    ----------
    w
        Array of shape (n,), or one vector a row; in any order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Permutahedron
    >>> Permutahedron(np.asarray([1.0, 2.0, 3.0])).project(np.asarray([0.5, 9.0, 0.75])).tolist()
    [1.375, 3.0, 1.625]
    """

    w: Array

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_permutahedron`)."""
        return project_permutahedron(x, self.w, axis=axis)

    def project_kl(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the entropic projection (see `project_kl_permutahedron`)."""
        return project_kl_permutahedron(x, self.w, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: `w` permuted into the order of x."""
        rows = open_rows(x, axis, self.w)
        w = row_vector(rows, "w", self.w)
        inverse = inverse_order(rows.backend, ascending_order(rows.backend, rows.x))
        return rows.close(gather(rows.backend, _ascending(rows.backend, w), inverse))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether `w` majorizes it up to `tol`."""
        rows = open_rows(x, axis, self.w)
        xp = rows.backend.namespace
        w = row_vector(rows, "w", self.w)
        above = xp.cumulative_sum(xp.sort(rows.x, axis=-1, descending=True), axis=-1)
        limit = xp.cumulative_sum(xp.sort(w, axis=-1, descending=True), axis=-1)
        excess = above - limit
        return xp.all(excess <= tol, axis=-1) & (xp.abs(excess[..., -1]) <= tol)


def project_order_simplex(x: Array, /, *, axis: int = -1) -> Array:
    """Return the point of {1 >= y_1 >= ... >= y_n >= 0} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n).
    axis
        Axis of the order.

    Returns
    -------
    array
        The non-increasing fit, clipped to [0, 1]; like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: those of `isotonic_regression`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_order_simplex
    >>> project_order_simplex(np.asarray([2.0, 0.25, 0.75, -1.0])).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    open_rows(x, axis)
    fit: Array = isotonic_regression(x, increasing=False, lower=0.0, upper=1.0, axis=axis)
    return fit


def project_permutahedron(x: Array, w: Array, /, *, axis: int = -1) -> Array:
    """Return the point of the hull of the permutations of `w` nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n).
    w
        Array of shape (n,), or one vector a row, entries last; in any order.
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` or `w` is no array of one library with a real floating dtype.
    ValueError
        If `w` does not broadcast to the rows, or `axis` is empty or out of range.

    Notes
    -----
    With x and w sorted, the projection is x - v, v the isotonic fit of x - w: O(n log n) a row.

    *Derivatives*: in `x` and `w`, to every order, almost everywhere; equal entries of `w` keep
    their stable order.

    References
    ----------
    Negrinho and Martins (2014), "Orbit regularization"; Blondel, Teboul, Berthet and Djolonga
    (2020), arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_permutahedron
    >>> project_permutahedron(np.asarray([4.0, 2.0, 2.5]), np.asarray([3.0, 1.0, 2.0])).tolist()
    [3.0, 1.25, 1.75]
    """
    rows = open_rows(x, axis, w)
    backend, z = rows.backend, rows.x
    ordered_w = _ascending(backend, row_vector(rows, "w", w))
    order = ascending_order(backend, z)
    inverse = inverse_order(backend, order)
    fixed = gather(backend, backend.stop_gradient(z), order)
    blocks = structure_kernel(backend, "isotonic_blocks", pool_squared, z)
    ids = blocks(fixed - fixed[..., :1] - backend.stop_gradient(ordered_w), 1.0)
    places = gather(backend, block_mean(backend, ordered_w, ids), inverse)
    deviation = block_deviation(backend, z, gather(backend, ids, inverse))
    return rows.close(spread_nan(backend, backend.namespace.add(deviation, places)))


def _ascending(backend: Backend, w: Array) -> Array:
    """Return the rows of `w` sorted, as live values in a detached order."""
    return gather(backend, w, ascending_order(backend, w))
