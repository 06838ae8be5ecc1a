"""Half-spaces and affine subspaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype, check_number
from ..backend import Array, Backend
from ..parameters import check_array, known_to, row_parameter
from ..trees import register_dataclass
from .recession import along_recession
from .rows import Rows, nan_where, open_rows, row_vector

__all__ = ["Affine", "Halfspace", "project_affine", "project_halfspace"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Halfspace:
    """The half-space {<normal, y> <= offset}.

    Parameters
    ----------
    normal
        Array of shape (n,), or one vector a row, entries last.
    offset
        Number, or array with one value a row (size 1 along `axis`).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Halfspace
    >>> Halfspace(np.asarray([1.0, 1.0]), 2.0).project(np.asarray([3.0, 2.0])).tolist()
    [1.5, 0.5]
    """

    normal: Array
    offset: Any

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_halfspace`)."""
        return project_halfspace(x, self.normal, self.offset, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: on the boundary if x points along `normal`, else infinite.

        Where the maximum is infinite, entries are those of the limit: infinite with the sign of
        the part of x along the boundary (or of x itself where it points inwards), or 0.
        """
        rows, normal, offset = _open_halfspace(x, self.normal, self.offset, axis)
        backend, x = rows.backend, rows.x
        xp = backend.namespace
        along, square = _dot(xp, normal, x), _dot(xp, normal, normal)
        ahead = xp.where(along > 0, along, xp.zeros_like(along))
        direction = x - ahead / _or_one(xp, square) * normal
        # The foot of the boundary, but 0 for x = 0 where 0 is in the set.
        foot = xp.where((along > 0) | (offset < 0), offset, xp.zeros_like(offset))
        point = foot / _or_one(xp, square) * normal
        return rows.close(along_recession(backend, x, direction, point))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether <normal, x> is at most `offset` + `tol`."""
        rows, normal, offset = _open_halfspace(x, self.normal, self.offset, axis)
        xp = rows.backend.namespace
        return xp.all(_dot(xp, normal, rows.x) <= offset + tol, axis=-1)


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Affine:
    """The affine subspace {matrix y = offset}.

    Parameters
    ----------
    matrix
        Array of shape (m, n), or one matrix a row, (..., m, n); of any rank.
    offset
        Array of shape (m,), or one vector a row, (..., m).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Affine
    >>> found = Affine(np.asarray([[1.0, 1.0, 0.0]]), np.asarray([2.0]))
    >>> found.project(np.asarray([3.0, 2.0, 5.0])).round(12).tolist()
    [1.5, 0.5, 5.0]
    """

    matrix: Array
    offset: Array

    def project(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return the nearest point of the set (see `project_affine`)."""
        return project_affine(x, self.matrix, self.offset, axis=axis)

    def linear_argmax(self, x: Array, /, *, axis: int = -1) -> Array:
        """Return a maximiser of <x, y>: the shortest point if x is orthogonal to the set.

        Elsewhere the maximum is infinite, and entries are those of the limit: infinite with the
        sign of the part of x along the set, or 0.
        """
        rows, matrix, offset = _open_affine(x, self.matrix, self.offset, axis)
        backend, x = rows.backend, rows.x
        xp = backend.namespace
        inverse = _inverse(backend, matrix)
        direction = x - _apply(xp, inverse, _apply(xp, matrix, x))
        point = xp.broadcast_to(_apply(xp, inverse, offset), tuple(x.shape))
        return rows.close(along_recession(backend, x, direction, point))

    def contains(self, x: Array, tol: float = 1e-6, /, *, axis: int = -1) -> Array:
        """Return for each row whether no entry of matrix x - offset is larger than `tol`."""
        rows, matrix, offset = _open_affine(x, self.matrix, self.offset, axis)
        xp = rows.backend.namespace
        return xp.all(xp.abs(_apply(xp, matrix, rows.x) - offset) <= tol, axis=-1)


def project_halfspace(
    x: Array, normal: Array, offset: Array | float, /, *, axis: int = -1
) -> Array:
    """Return the point of {<normal, y> <= offset} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n); a row with an infinite entry becomes NaN.
    normal
        Array of shape (n,), or one vector a row, entries last.
    offset
        Number, or array with one value a row (size 1 along `axis`).
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        x - max(<normal, x> - offset, 0) normal / |normal|^2, like `x`.

    Raises
    ------
    TypeError
        If `x` or `normal` is no array of one library with a real floating dtype.
    ValueError
        If `normal` or `offset` does not broadcast to the rows, or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `normal` and an array `offset`, to every order; on the boundary those of
    the inside. With `normal` = 0 the set is everything or, for a negative offset, nothing: NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_halfspace
    >>> project_halfspace(np.asarray([3.0, 2.0]), np.asarray([1.0, 1.0]), 2.0).tolist()
    [1.5, 0.5]
    """
    rows, normal, offset = _open_halfspace(x, normal, offset, axis)
    backend = rows.backend
    xp = backend.namespace
    square = _dot(xp, normal, normal)
    excess = _dot(xp, normal, rows.x) - offset
    outside = ~(excess <= 0)
    step = xp.where(outside, excess, xp.zeros_like(excess)) / _or_one(xp, square)
    y = rows.x - step * normal
    return rows.close(nan_where(backend, outside & (square == 0), y))


def project_affine(x: Array, matrix: Array, offset: Array, /, *, axis: int = -1) -> Array:
    """Return the point of {matrix y = offset} nearest to each row of `x`.

    Parameters
    ----------
    x
        Points, real floating of shape (..., n); a row with an infinite entry becomes NaN.
    matrix
        Array of shape (m, n), or one matrix a row, (..., m, n); of any rank.
    offset
        Array of shape (m,), or one vector a row, (..., m).
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        x - pinv(matrix) (matrix x - offset), like `x`. Where no point meets the equations, the
        nearest one of those that miss them least.

    Raises
    ------
    TypeError
        If an argument is no array of one library with a real floating dtype.
    ValueError
        If `matrix` or `offset` does not broadcast to the rows, or `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `offset` and `matrix`, to every order; in `matrix` where its rank is
    locally constant.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_affine
    >>> matrix = np.asarray([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    >>> y = project_affine(np.asarray([3.0, 2.0, 5.0]), matrix, np.asarray([2.0, 1.0]))
    >>> y.round(12).tolist()
    [1.5, 0.5, 0.5]
    """
    rows, matrix, offset = _open_affine(x, matrix, offset, axis)
    xp = rows.backend.namespace
    residual = _apply(xp, matrix, rows.x) - offset
    return rows.close(rows.x - _apply(xp, _inverse(rows.backend, matrix), residual))


def _open_halfspace(x: Array, normal: Array, offset: Any, axis: int) -> tuple[Rows, Array, Array]:
    """Return the rows of `x`, the normal of each and the offsets (..., 1)."""
    rows = _only_finite(open_rows(x, axis, normal, offset))
    value = row_parameter(rows.backend, "offset", offset, x, rows.axis)
    if isinstance(value, float):
        check_number("offset", value)
        value = rows.backend.namespace.full_like(rows.backend.stop_gradient(rows.x[..., :1]), value)
    return rows, row_vector(rows, "normal", normal), value


def _open_affine(x: Array, matrix: Array, offset: Array, axis: int) -> tuple[Rows, Array, Array]:
    """Return the rows of `x`, the matrices and the offsets in the dtype of the rows."""
    rows = _only_finite(open_rows(x, axis, matrix, offset))
    backend, n = rows.backend, rows.x.shape[-1]
    xp, found = backend.namespace, []
    for name, value in (("matrix", matrix), ("offset", offset)):
        check_array(name, value, backend)
        check_dtype(name, value)
        value = known_to(backend, value)
        found.append(value if value.dtype == rows.x.dtype else xp.astype(value, rows.x.dtype))
    a, b = (tuple(value.shape) for value in found)
    if len(a) < 2 or a[-1] != n or not _leads(a[:-2], tuple(rows.x.shape[:-1])):
        raise ValueError(f"`matrix` must be of shape (m, {n}) or one a row; got shape {a}")
    if not b or b[-1] != a[-2] or not _leads(b[:-1], tuple(rows.x.shape[:-1])):
        raise ValueError(f"`offset` must be of shape ({a[-2]},) or one a row; got shape {b}")
    return rows, found[0], found[1]


def _only_finite(rows: Rows) -> Rows:
    """Return the rows with NaN for infinite entries: differences of infinities mean nothing."""
    xp = rows.backend.namespace
    infinite = xp.isinf(rows.backend.stop_gradient(rows.x))
    return rows._replace(x=nan_where(rows.backend, infinite, rows.x))


def _inverse(backend: Backend, matrix: Array) -> Array:
    """Return the pseudo-inverse, NaN where an entry is not finite."""
    xp = backend.namespace
    known = xp.isfinite(backend.stop_gradient(matrix))
    broken = ~xp.all(known, axis=(-2, -1), keepdims=True)
    inverse = xp.linalg.pinv(xp.where(broken, xp.zeros_like(matrix), matrix))
    return nan_where(backend, broken, inverse)


def _leads(shape: tuple[int, ...], batch: tuple[int, ...]) -> bool:
    """Whether leading axes broadcast to exactly the batch."""
    pairs = zip(shape[::-1], batch[::-1], strict=False)
    return len(shape) <= len(batch) and all(size in (1, wanted) for size, wanted in pairs)


def _apply(xp: Any, matrix: Array, x: Array) -> Array:
    """Return the product of a matrix and a vector, row by row."""
    return xp.matmul(matrix, x[..., None])[..., 0]


def _dot(xp: Any, x: Array, y: Array) -> Array:
    """Return the inner product of each row, (..., 1)."""
    return xp.sum(xp.multiply(x, y), axis=-1, keepdims=True)


def _or_one(xp: Any, x: Array) -> Array:
    """Return `x`, 1 where it is 0."""
    return xp.where(x == 0, xp.ones_like(x), x)
