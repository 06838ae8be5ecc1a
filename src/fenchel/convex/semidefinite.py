"""The cone of positive semi-definite matrices.

With X = U diag(d) U^T the projection is (X + R)/2, R the positive root of X^2. Vectors of equal
eigenvalues have no derivative, so none is taken of U: for X + E, with D = U^T E U, the root is
diag(abs d) + H in that basis, and squaring gives

    H = C o D + K o (D^2 - H^2),   K_ij = 1 / (abs d_i + abs d_j),   C_ij = (d_i + d_j) K_ij.

Each pass through this equation, from H = 0, makes one more order of the Taylor series right (the
first is the formula of Daleckii and Krein); all of it is finite wherever no eigenvalue is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import FloatInfo, check_dtype, float_info, narrow, widen
from ..backend import Array, Backend, backend_of
from ..trees import register_dataclass
from .recession import along_recession

__all__ = ["PSDCone", "project_psd"]

_ORDERS = 3  # derivatives that are exact


@register_dataclass()
@dataclass(frozen=True)
class PSDCone:
    """The cone of symmetric positive semi-definite matrices, on the last two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import PSDCone
    >>> PSDCone().project(np.asarray([[0.0, 1.0], [1.0, 0.0]])).round(12).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def project(self, x: Array, /) -> Array:
        """Return the nearest matrix of the cone (see `project_psd`)."""
        return project_psd(x)

    def linear_argmax(self, x: Array, /) -> Array:
        """Return a maximiser of <x, y>: 0 if -x is in the cone, else infinite.

        Where the maximum is infinite, entries are infinite with the sign of the projection of x
        on the cone, or 0.
        """
        backend, symmetric, info = _open(x)
        xp = backend.namespace
        axes = (-2, -1)
        found = along_recession(
            backend, symmetric, _nearest(backend, symmetric), xp.zeros_like(symmetric), axes
        )
        return narrow(xp, found, info, x.dtype)

    def contains(self, x: Array, tol: float = 1e-6, /) -> Array:
        """Return for each matrix whether it is symmetric and in the cone, both up to `tol`."""
        backend, symmetric, info = _open(x)
        xp = backend.namespace
        broken, safe = _finite(backend, symmetric)
        values = xp.linalg.eigvalsh(backend.stop_gradient(safe))
        wide = widen(xp, x, info)
        wide = xp.where(broken, xp.zeros_like(wide), wide)
        even = xp.all(xp.abs(wide - xp.matrix_transpose(wide)) <= 2 * tol, axis=(-2, -1))
        return xp.all(values >= -tol, axis=-1) & even & ~broken[..., 0, 0]


def project_psd(x: Array, /) -> Array:
    r"""Return the positive semi-definite matrix nearest to each matrix of `x`.

    Parameters
    ----------
    x
        Square matrices, real floating of shape (..., n, n). Only the symmetric part counts, as it
        does in the distance.

    Returns
    -------
    array
        :math:`U \max(d, 0) U^T` with :math:`(x + x^T)/2 = U \mathrm{diag}(d) U^T`, like `x`. A
        matrix with an entry that is not finite gives NaN.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If the last two axes are not those of non-empty square matrices.

    Notes
    -----
    *Derivatives*: to order three wherever no eigenvalue is 0, repeated eigenvalues included; the
    first one is finite everywhere (between vectors of eigenvalue 0 it is that of the inside). The
    eigenvectors are not differentiated: a series in x around the given matrix is. O(n^3) a matrix.

    References
    ----------
    Higham (1988), "Computing a nearest symmetric positive semidefinite matrix"; Daleckii and Krein
    (1965), "Integration and differentiation of functions of Hermitian operators".

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_psd
    >>> project_psd(np.asarray([[2.0, 0.0], [0.0, -1.0]])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    backend, symmetric, info = _open(x)
    return narrow(backend.namespace, _nearest(backend, symmetric), info, x.dtype)


def _open(x: Array) -> tuple[Backend, Array, FloatInfo]:
    """Check the matrices, and return their symmetric part."""
    backend = backend_of(x)
    info = check_dtype("x", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.shape[-1] == 0:
        raise ValueError(
            "`x` must be non-empty square matrices on its last two axes; "
            f"got shape {tuple(x.shape)}"
        )
    xp = backend.namespace
    wide = widen(xp, x, info)
    return backend, (wide + xp.matrix_transpose(wide)) / 2, info


def _finite(backend: Backend, x: Array) -> tuple[Array, Array]:
    """Return which matrices are not finite, (..., 1, 1), and `x` with zeros in their place."""
    xp = backend.namespace
    broken = xp.any(~xp.isfinite(backend.stop_gradient(x)), axis=(-2, -1), keepdims=True)
    return broken, xp.where(broken, xp.zeros_like(x), x)


def _nearest(backend: Backend, x: Array) -> Array:
    xp = backend.namespace
    broken, x = _finite(backend, x)
    fixed = backend.stop_gradient(x)
    d, u = xp.linalg.eigh(fixed)
    d, u = backend.stop_gradient(d), backend.stop_gradient(u)
    ut = xp.matrix_transpose(u)
    kept = xp.where(d > 0, d, xp.zeros_like(d))[..., None, :]
    value = xp.matmul(u * kept, ut)
    value = (value + xp.matrix_transpose(value)) / 2
    # `change` is 0; it carries the derivatives.
    change = xp.matmul(ut, xp.matmul(x - fixed, u))
    y = value + xp.matmul(u, xp.matmul((change + _root_series(xp, d, change)) / 2, ut))
    return xp.where(broken, xp.full_like(fixed, float("nan")), y)


def _root_series(xp: Any, d: Array, change: Array) -> Array:
    """Return H of the module's formula, exact to order `_ORDERS` in `change`."""
    row, column = d[..., None, :], d[..., :, None]
    total = xp.abs(row) + xp.abs(column)
    info = float_info(d.dtype)
    largest = xp.max(xp.abs(d), axis=-1, keepdims=True)[..., None]
    # Pairs that are 0 up to rounding: the side of the inside, to first order.
    zero = total <= d.shape[-1] * (info.eps if info else 0.0) * largest
    inverse = xp.where(zero, xp.zeros_like(total), 1 / xp.where(zero, xp.ones_like(total), total))
    slope = xp.where(zero, xp.ones_like(total), (row + column) * inverse)
    linear = slope * change
    root = linear
    for _ in range(_ORDERS - 1):
        root = linear + inverse * (xp.matmul(change, change) - xp.matmul(root, root))
    return root
