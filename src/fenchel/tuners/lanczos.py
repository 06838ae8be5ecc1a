"""Lanczos iteration with full re-orthogonalisation.

After m products with a symmetric matrix A the basis Q of the Krylov space has Q^T A Q = T with T
tridiagonal: its extreme eigenvalues are near those of A. In floating point the basis loses its
orthogonality, and T repeats eigenvalues; each new vector is therefore made orthogonal to all
earlier ones, twice.

Where values are at hand the basis is a list and T is diagonalised on the host; inside jit and vmap
both are arrays of a fixed size.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..trees import norm
from ._matrix import Matrix, eigh, unit

__all__ = ["Krylov", "krylov", "lanczos"]

Array = Any


class Krylov(NamedTuple):
    """Eigenpairs of T, values ascending, and how to carry its vectors over to those of A."""

    values: Any
    vectors: Any
    basis: Any
    steps: Any


def lanczos(
    matrix: Matrix, start: Array, *, k: int = 1, max_iter: int = 40, tol: float = 1e-6
) -> tuple[Array, Any]:
    """Return unit vectors near the `k` largest eigenvalues, and how many products it took.

    Parameters
    ----------
    matrix
        The matrix.
    start
        First vector.
    k
        How many.
    max_iter
        Largest number of products.
    tol
        Stop where the residuals are below `tol` times the largest magnitude of an eigenvalue of T.

    Returns
    -------
    tuple
        Array of shape (k, size), largest eigenvalue first, and the number of products.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners._matrix import matrix_of
    >>> matrix = matrix_of(lambda x: np.sum(x**2 * [3.0, 1.0]) / 2, np.zeros(2), (), "hessian")
    >>> vectors, steps = lanczos(matrix, np.asarray([0.6, 0.8]))
    >>> abs(vectors).round(6), steps
    (array([[1., 0.]]), 2)
    """
    found = krylov(matrix, start, max_iter, tol=tol, k=k)
    xp = matrix.backend.namespace
    top = xp.flip(found.vectors, axis=1)[:, :k]
    rows = _stacked(xp, found.basis)
    vectors = xp.matmul(xp.matrix_transpose(top), rows)
    return xp.stack([unit(vectors[i, :]) for i in range(k)]), found.steps


def krylov(matrix: Matrix, start: Array, steps: int, *, tol: float | None, k: int = 1) -> Krylov:
    """Return what at most `steps` products say; with `tol` None all are made."""
    steps = min(steps, matrix.size)
    if matrix.traced or matrix.backend.is_traced(start):
        return _traced(matrix, start, steps, tol, k)
    return _eager(matrix, start, steps, tol, k)


def _eager(matrix: Matrix, start: Array, steps: int, tol: float | None, k: int) -> Krylov:
    xp, tiny = matrix.backend.namespace, 10 * _eps(matrix)
    basis = [unit(start)]
    diagonal: list[float] = []
    below: list[float] = []
    while True:
        w = matrix.apply(basis[-1])
        diagonal.append(float(xp.sum(basis[-1] * w)))
        w = _orthogonal(xp, w, basis)
        beta = float(norm(w))
        if not (math.isfinite(diagonal[-1]) and math.isfinite(beta)):
            return _undefined(matrix, basis, k)
        values, vectors = _host_eigenpairs(diagonal, below)
        largest = abs(values).max()
        if len(basis) >= steps:
            break
        broken = beta <= tiny * max(largest, beta, 1e-300)
        if broken:
            # The space is invariant: nothing larger can be found from this start. Copies of what
            # was found, which matter for k > 1 alone, lie outside of it.
            if k == 1:
                break
            fresh = _orthogonal(xp, xp.roll(basis[0], len(basis)), basis)
            beta, w = 0.0, fresh
            if float(norm(fresh)) <= tiny:
                break
        elif tol is not None and len(basis) >= k and _settled(beta, vectors, values, k, tol):
            break
        below.append(beta)
        basis.append(unit(w))
    return Krylov(_from_host(matrix, values), _from_host(matrix, vectors), basis, len(basis))


def _settled(beta: float, vectors: Any, values: Any, k: int, tol: float) -> bool:
    """Whether the residuals of the k largest, beta times the last entries, are small."""
    return bool((beta * abs(vectors[-1, -k:])).max() <= tol * abs(values).max())


def _host_eigenpairs(diagonal: list[float], below: list[float]) -> tuple[Any, Any]:
    import numpy as np

    joined = np.diag(below, -1) + np.diag(below, 1) if below else 0.0
    values, vectors = np.linalg.eigh(np.diag(diagonal) + joined)
    return values, vectors


def _undefined(matrix: Matrix, basis: list[Array], k: int) -> Krylov:
    """Return NaN for a matrix with an entry that is not finite."""
    import numpy as np

    size = max(k, len(basis))
    nan = np.full((size, size), math.nan)
    rows = [basis[0]] * size
    return Krylov(_from_host(matrix, nan[0]), _from_host(matrix, nan), rows, len(basis))


def _from_host(matrix: Matrix, x: Any) -> Array:
    xp, backend = matrix.backend.namespace, matrix.backend
    return xp.asarray(x.tolist(), dtype=matrix.dtype, device=backend.device_of(matrix.like))


def _orthogonal(xp: Any, w: Array, basis: list[Array]) -> Array:
    for _ in range(2):
        for q in basis:
            w = w - xp.sum(q * w) * q
    return w


def _stacked(xp: Any, basis: Any) -> Array:
    return xp.stack(basis) if isinstance(basis, list) else basis


def _eps(matrix: Matrix) -> float:
    return float(matrix.backend.namespace.finfo(matrix.dtype).eps)


def _traced(matrix: Matrix, start: Array, steps: int, tol: float | None, k: int) -> Krylov:
    """The same on arrays of `steps` rows, of which `count` are in use."""
    backend, xp, tiny = matrix.backend, matrix.backend.namespace, 10 * _eps(matrix)
    place = xp.arange(steps)

    def stored(array: Array, i: Array, row: Array) -> Array:
        here = place == i
        return xp.where(here[:, None] if array.ndim == 2 else here, row, array)

    def body(carry: Any) -> Any:
        count, q, rows, diagonal, below, _ = carry
        w = matrix.apply(q)
        diagonal = stored(diagonal, count, xp.sum(q * w))
        w = _projected(xp, w, rows)
        beta, count = norm(w), count + 1
        vectors = eigh(backend, _tridiagonal(xp, diagonal, below, place, count))[1]
        largest = xp.max(xp.abs(diagonal)) + 2 * xp.max(below)
        broken = beta <= tiny * xp.maximum(largest, beta)
        going = xp.isfinite(beta)
        if k == 1:
            going = going & xp.logical_not(broken)
        else:
            first = rows[0, :]
            fresh = _projected(xp, _rolled(xp, first, count), rows)
            w = xp.where(broken, fresh, w)
            beta = xp.where(broken, xp.zeros_like(beta), beta)
            going = going & (norm(w) > tiny * xp.astype(broken, matrix.dtype))
        if tol is not None:
            last = xp.sum(
                xp.where((place == count - 1)[:, None], vectors, xp.zeros_like(vectors)), axis=0
            )
            rest = xp.max(beta * xp.abs(last[-k:]))
            small = (rest <= tol * largest) & (count >= k) & xp.logical_not(broken)
            going = going & xp.logical_not(small)
        q, below = unit(w), stored(below, count - 1, beta)
        return count, q, stored(rows, count, q), diagonal, below, going

    def more(carry: Any) -> Any:
        return (carry[0] < steps) & carry[5]

    zero = xp.zeros((steps,), dtype=matrix.dtype) + 0.0 * start[0]
    q = unit(start)
    rows = stored(xp.zeros((steps, matrix.size), dtype=matrix.dtype), place[0], q)
    carry = (place[0], q, rows, zero, zero, xp.isfinite(start[0]))
    count, _, rows, diagonal, below, _ = backend.while_loop(more, body, carry)
    values, vectors = eigh(backend, _tridiagonal(xp, diagonal, below, place, count))
    used = xp.where((place < count)[:, None], rows, xp.zeros_like(rows))
    return Krylov(values, vectors, used, count)


def _projected(xp: Any, w: Array, rows: Array) -> Array:
    for _ in range(2):
        w = w - xp.matmul(xp.matmul(rows, w), rows)
    return w


def _rolled(xp: Any, x: Array, shift: Array) -> Array:
    return xp.take(x, xp.remainder(xp.arange(x.shape[0]) + shift, x.shape[0]), axis=0)


def _tridiagonal(xp: Any, diagonal: Array, below: Array, place: Array, count: Array) -> Array:
    """Return T of `count` rows; the others are alone, below everything else."""
    used = place < count
    bound = 2.0 * xp.max(xp.abs(diagonal)) + 4.0 * xp.max(xp.abs(below)) + 1.0
    entries = xp.where(used, diagonal, -bound)
    joined = xp.where(place < count - 1, below, xp.zeros_like(below))
    same = place[:, None] == place[None, :]
    next_row = place[:, None] == place[None, :] + 1
    zero = xp.zeros_like(entries)
    lower = xp.where(next_row, joined[None, :], zero)
    return xp.where(same, entries[:, None], zero) + lower + xp.matrix_transpose(lower)
