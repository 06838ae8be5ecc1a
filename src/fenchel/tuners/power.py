"""Power iteration with a shift, for the largest eigenvalue and not the largest magnitude."""

from __future__ import annotations

from typing import Any

from ..trees import norm
from ._matrix import Matrix, unit

__all__ = ["power_iteration"]

Array = Any


def power_iteration(
    matrix: Matrix, starts: list[Array], *, max_iter: int = 40, tol: float = 1e-6
) -> tuple[Array, Any]:
    """Return unit vectors near the largest eigenvalues, and how many products it took.

    The iteration is that of A + c 1. The shift c is the largest norm of A v met so far, over all
    unit vectors v of the iteration: where a negative eigenvalue of large magnitude takes over, c
    grows to that magnitude, and the largest eigenvalue leads again.

    Parameters
    ----------
    matrix
        The matrix A.
    starts
        First vectors, one for each eigenvalue; each is kept orthogonal to what is found before.
    max_iter
        Largest number of products for one vector.
    tol
        Stop where the residual is below `tol` times c.

    Returns
    -------
    tuple
        Array of shape (k, size) and the number of products.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners._matrix import matrix_of
    >>> f = lambda x: np.sum(x**2 * [-5.0, 3.0]) / 2
    >>> matrix = matrix_of(f, np.zeros(2), (), "hessian")
    >>> vectors, steps = power_iteration(matrix, [np.asarray([0.8, 0.6])])
    >>> abs(vectors).round(3)
    array([[0., 1.]])
    """
    found: list[Array] = []
    total: Any = 0
    for start in starts:
        vector, steps = _leading(matrix, start, found, max_iter, tol)
        found.append(vector)
        total = total + steps
    return matrix.backend.namespace.stack(found), total


def _leading(
    matrix: Matrix, start: Array, found: list[Array], max_iter: int, tol: float
) -> tuple[Array, Any]:
    backend, xp = matrix.backend, matrix.backend.namespace

    def body(carry: Any) -> Any:
        count, v, shift, _ = carry
        w = _outside(xp, matrix.apply(v), found)
        shift = xp.maximum(shift, norm(w))
        value = xp.sum(v * w)
        small = norm(w - value * v) <= tol * shift
        # The vector that the residual was measured for is the one returned.
        v = xp.where(small, v, unit(_outside(xp, w + shift * v, found)))
        return count + 1, v, shift, xp.logical_not(small) & xp.isfinite(shift)

    def more(carry: Any) -> Any:
        return (carry[0] < max_iter) & carry[3]

    v = unit(_outside(xp, start, found))
    zero = 0.0 * v[0]
    count = xp.zeros_like(xp.arange(1, device=backend.device_of(v)))[0]
    count, v, _, _ = backend.while_loop(more, body, (count, v, zero, xp.isfinite(zero)))
    return v, count if matrix.traced else int(count)


def _outside(xp: Any, w: Array, found: list[Array]) -> Array:
    for q in found:
        w = w - xp.sum(q * w) * q
    return w
