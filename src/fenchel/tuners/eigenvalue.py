"""Sharpness: the largest eigenvalue of the Hessian of an objective, with a certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer, check_number
from ..eager import uncompiled
from ..random import sampler
from ..trees import leaves, map, norm
from ._matrix import Matrix, check_like, constants, matrix_of, random_unit, unit
from .lanczos import lanczos
from .lobpcg import lobpcg
from .power import power_iteration

__all__ = ["Sharpness", "sharpness"]

Tree = Any
Array = Any

# Share of a random direction in a warm start: an exact eigenvector would never be left again, also
# where another one has overtaken it.
_NOISE = 0.03


class Sharpness(NamedTuple):
    """An eigenvalue with its certificate.

    Parameters
    ----------
    value
        The Rayleigh quotient <v, H v>; for k > 1 an array of k, the largest first.
    vector
        Unit vector v in the container of the parameters; for k > 1 with a leading axis of k.
    residual
        Norm of H v - value v: an exact eigenvalue lies within this distance of `value`.
    matvecs
        How many products with H were made.

    Examples
    --------
    >>> Sharpness(2.0, [1.0], 0.0, 3).value
    2.0
    """

    value: Any
    vector: Any
    residual: Any
    matvecs: Any


@uncompiled
def sharpness(
    objective: Callable[..., Any],
    params: Tree,
    *data: Any,
    method: str = "lanczos",
    curvature: str = "hessian",
    preconditioner: Tree | None = None,
    k: int = 1,
    max_iter: int = 40,
    tol: float = 1e-6,
    rng: Any = 0,
    start: Tree | None = None,
) -> Sharpness:
    """Return the largest eigenvalue of the Hessian of an objective: algebraic, not in magnitude.

    Parameters
    ----------
    objective
        Function `objective(params, *data)` to an array of shape ().
    params
        Container of arrays: where to measure.
    *data
        Further arguments of the objective.
    method
        "lanczos" (with full re-orthogonalisation), "power" (shifted power iteration: the least
        memory) or "lobpcg" (finds every copy of a multiple eigenvalue for k > 1).
    curvature
        "hessian", "ggn" (the generalised Gauss-Newton matrix; the objective has `loss(outputs,
        targets)` and `predict(params, inputs)`, and `data` is inputs and targets) or
        "grad_difference" (Hessian products as differences of gradients, for operations without a
        second derivative).
    preconditioner
        Positive diagonal P in the container of the parameters: the matrix is then
        P^(-1/2) H P^(-1/2), what decides stability where the direction is that of P^(-1).
    k
        How many eigenvalues.
    max_iter
        Largest number of products (for each eigenvalue, with "power" and "lobpcg").
    tol
        Stop where the residual is estimated below `tol` times the size of the eigenvalues.
    rng
        Seed, generator or key of the first vector.
    start
        Vector to begin with, such as the last result during training; a little of a random
        direction is mixed in.

    Returns
    -------
    Sharpness
        `value`, `vector`, `residual` and `matvecs`.

    Raises
    ------
    TypeError
        If `curvature` is "ggn" and the objective lacks its parts.
    ValueError
        If `method` or `curvature` is unknown, `params` is empty, or `k` or `max_iter` is out of
        range.

    Notes
    -----
    Never above the largest eigenvalue, by the Rayleigh quotient. Lanczos stops at a breakdown,
    where its space is invariant; with `max_iter` at least the number of parameters it is a direct
    method. A multiple eigenvalue may be found once by "lanczos" with k > 1. A NaN in the products
    gives NaN.

    *Derivatives*: of first order in parameters and data, where the eigenvalue is simple: the
    vector is a constant, and the derivative of <v, H v> is that of the eigenvalue.

    References
    ----------
    J. Cohen et al., "Gradient descent on neural networks typically occurs at the edge of
    stability", ICLR 2021, arXiv 2103.00065.

    Examples
    --------
    >>> import numpy as np
    >>> curvatures = np.asarray([-5.0, 3.0, 1.0])
    >>> found = sharpness(lambda w: np.sum(curvatures * w**2) / 2, np.ones(3))
    >>> round(float(found.value), 9), abs(found.vector).round(9)
    (3.0, array([0., 1., 0.]))
    """
    check_choice("method", method, ("lanczos", "power", "lobpcg"))
    check_number("tol", tol, minimum=0.0)
    fixed, fixed_data = constants(params), constants(data)
    scaling = constants(preconditioner)
    matrix = matrix_of(objective, fixed, fixed_data, curvature, scaling)
    _check_counts(k, max_iter, matrix.size)
    starts = _starts(matrix, rng, start, k)
    vectors, matvecs = _search(matrix, starts, method, max_iter, tol)
    # The last product is taken at the arguments themselves, for the derivative of the value.
    if not _same((params, data, preconditioner), (fixed, fixed_data, scaling)):
        matrix = matrix_of(objective, params, data, curvature, preconditioner)
    pairs = [_certified(matrix, vectors[i, :]) for i in range(k)]
    if k == 1:
        (value, residual), vector = pairs[0], matrix.unravel(vectors[0, :])
        return Sharpness(value, vector, residual, matvecs + 1)
    xp = matrix.backend.namespace
    value, residual = (xp.stack(list(column)) for column in zip(*pairs, strict=True))
    return Sharpness(value, matrix.unravel(vectors), residual, matvecs + k)


def _same(a: Tree, b: Tree) -> bool:
    """Whether two containers hold the same objects."""
    return all(x is y for x, y in zip(leaves(a), leaves(b), strict=True))


def _check_counts(k: int, max_iter: int, size: int) -> None:
    if not 1 <= check_integer("k", k, minimum=0) <= size:
        raise ValueError(f"`k` must be in [1, number of parameters = {size}]; got k={k}")
    if check_integer("max_iter", max_iter, minimum=0) < k:
        raise ValueError(f"`max_iter` must be at least k={k}; got max_iter={max_iter}")


def _starts(matrix: Matrix, rng: Any, start: Tree | None, k: int) -> list[Array]:
    draw = sampler(rng, matrix.like)
    drawn = [random_unit(matrix, draw) for _ in range(k)]
    if start is None:
        return drawn
    check_like("start", start, matrix.params, () if k == 1 else (k,))
    given = matrix.ravel(constants(start)) if k == 1 else _rows(matrix, constants(start), k)
    warm = [given] if k == 1 else given
    return [unit(a) + _NOISE * b for a, b in zip(warm, drawn, strict=True)]


def _rows(matrix: Matrix, start: Tree, k: int) -> list[Array]:
    return [matrix.ravel(map(lambda leaf, i=i: leaf[i, ...], start)) for i in range(k)]


def _search(
    matrix: Matrix, starts: list[Array], method: str, max_iter: int, tol: float
) -> tuple[Array, Any]:
    if method == "power":
        return power_iteration(matrix, starts, max_iter=max_iter, tol=tol)
    if method == "lobpcg":
        return lobpcg(matrix, matrix.backend.namespace.stack(starts), max_iter=max_iter, tol=tol)
    first = starts[0]
    for other in starts[1:]:
        first = first + other
    return lanczos(matrix, first, k=len(starts), max_iter=max_iter, tol=tol)


def _certified(matrix: Matrix, vector: Array) -> tuple[Array, Array]:
    """Return the Rayleigh quotient and the residual."""
    product = matrix.apply(vector)
    value = matrix.backend.namespace.sum(vector * product)
    return value, norm(product - value * vector)
