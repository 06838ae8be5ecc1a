"""Locally optimal block conjugate gradients, for several eigenvalues with their copies."""

from __future__ import annotations

from typing import Any

from ._matrix import Matrix, eigh, positive

__all__ = ["lobpcg"]

Array = Any


def lobpcg(
    matrix: Matrix, starts: Array, *, max_iter: int = 40, tol: float = 1e-6
) -> tuple[Array, Any]:
    """Return unit vectors near the `k` largest eigenvalues, and how many products it took.

    Each step takes the k best vectors of the space of the current ones, their residuals and the
    last changes.

    Parameters
    ----------
    matrix
        The matrix.
    starts
        First vectors, as an array of shape (k, size).
    max_iter
        Largest number of steps, of k products each; the first block takes k more.
    tol
        Stop where all residuals are below `tol` times the largest magnitude of an eigenvalue met.

    Returns
    -------
    tuple
        Array of shape (k, size), largest eigenvalue first, and the number of products.

    References
    ----------
    A. Knyazev, "Toward the optimal preconditioned eigensolver: locally optimal block
    preconditioned conjugate gradient method", SIAM Journal on Scientific Computing 23 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners._matrix import matrix_of
    >>> f = lambda x: np.sum(x**2 * [3.0, 1.0, 3.0]) / 2
    >>> matrix = matrix_of(f, np.zeros(3), (), "hessian")
    >>> vectors, _ = lobpcg(matrix, np.asarray([[0.5, 0.5, 0.1], [0.1, 0.5, -0.5]]))
    >>> (vectors @ vectors.T).round(6), abs(vectors[:, 1]).round(6)
    (array([[1., 0.],
           [0., 1.]]), array([0., 0.]))
    """
    backend, xp, k = matrix.backend, matrix.backend.namespace, starts.shape[0]

    def body(carry: Any) -> Any:
        count, x, hx, p, hp, _, _ = carry
        values = xp.sum(x * hx, axis=1, keepdims=True)
        r = hx - values * x
        scale = xp.max(xp.sqrt(xp.sum(hx * hx, axis=1)))
        residual = xp.max(xp.sqrt(xp.sum(r * r, axis=1)))
        going = (residual > tol * scale) & xp.isfinite(residual)
        # Two passes: after one, a residual near the rounding still leans on the vectors.
        for _ in range(2):
            r = _unit_rows(xp, r - xp.matmul(xp.matmul(r, xp.matrix_transpose(x)), x))
        hr = _block(matrix, r)
        lean = xp.matmul(p, xp.matrix_transpose(x))
        p, hp = p - xp.matmul(lean, x), hp - xp.matmul(lean, hx)
        size = _row_norms(xp, p)
        p, hp = p / size, hp / size
        new = _ritz(matrix, xp.concat([x, r, p]), xp.concat([hx, hr, hp]), k)
        old = (x, hx, p, hp)
        chosen = [xp.where(going, a, b) for a, b in zip(new, old, strict=True)]
        return count + 1, *chosen, values[:, 0], going

    def more(carry: Any) -> Any:
        return (carry[0] < max_iter) & carry[6]

    nothing = xp.zeros_like(starts)
    rows = _unit_rows(xp, starts)
    x, hx = _ritz(matrix, rows, _block(matrix, rows), k)[:2]
    count = xp.zeros_like(xp.arange(1, device=backend.device_of(starts)))[0]
    first = (count, x, hx, nothing, nothing, x[:, 0], xp.isfinite(x[0, 0]))
    count, x, *_ = backend.while_loop(more, body, first)
    return x, k * (1 + (count if matrix.traced else int(count)))


def _block(matrix: Matrix, rows: Array) -> Array:
    return matrix.backend.namespace.stack([matrix.apply(rows[i, :]) for i in range(rows.shape[0])])


def _unit_rows(xp: Any, rows: Array) -> Array:
    return rows / _row_norms(xp, rows)


def _ritz(matrix: Matrix, s: Array, hs: Array, k: int) -> tuple[Array, Array, Array, Array]:
    """Return the k best vectors of the space of the rows of `s`, and their changes, with products.

    Rows that depend on others are left out through the eigenvectors of the Gram matrix. A
    direction of weight w there multiplies rounding by 1 / w, which bounds w from below.
    """
    backend, xp = matrix.backend, matrix.backend.namespace
    gram, tilde = xp.matmul(s, xp.matrix_transpose(s)), xp.matmul(s, xp.matrix_transpose(hs))
    weights, mixing = eigh(backend, gram)
    eps = float(xp.finfo(matrix.dtype).eps)
    alive = weights > eps**0.5 * xp.max(weights)
    factor = xp.where(alive, weights, xp.ones_like(weights)) ** -0.5
    basis = mixing * xp.where(alive, factor, xp.zeros_like(factor))
    small = xp.matmul(xp.matmul(xp.matrix_transpose(basis), tilde), basis)
    small = (small + xp.matrix_transpose(small)) / 2
    # What was left out stands below every eigenvalue, which may be negative themselves.
    bound = 1.0 + xp.sum(xp.abs(small))
    dead = xp.where(alive, xp.zeros_like(weights), -bound)
    place = xp.arange(s.shape[0], device=backend.device_of(s))
    same = place[:, None] == place[None, :]
    vectors = eigh(backend, small + xp.where(same, dead, xp.zeros_like(dead)))[1]
    top = xp.matmul(basis, xp.flip(vectors, axis=1)[:, :k])
    rows = xp.matrix_transpose(top)
    outside = xp.astype(place >= k, s.dtype)
    change = rows * outside
    size = _row_norms(xp, xp.matmul(change, s))
    x, hx = xp.matmul(rows, s), xp.matmul(rows, hs)
    length = _row_norms(xp, x)
    return x / length, hx / length, xp.matmul(change, s) / size, xp.matmul(change, hs) / size


def _row_norms(xp: Any, rows: Array) -> Array:
    return positive(xp.sqrt(xp.sum(rows * rows, axis=1, keepdims=True)))
