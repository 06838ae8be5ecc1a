"""The trace of the Hessian of an objective, from random directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice, check_integer
from ..autodiff import Estimate, hutchinson_trace
from ..eager import uncompiled
from ..random import rademacher, sampler
from ._matrix import Matrix, constants, matrix_of, positive

__all__ = ["hessian_trace"]

Tree = Any
Array = Any

# An entry below this share of a vector is what rounding leaves of one that depends on the others.
_DEPENDENT = 1e-3


@uncompiled
def hessian_trace(
    objective: Callable[..., Any],
    params: Tree,
    *data: Any,
    method: str = "hutchinson",
    curvature: str = "hessian",
    preconditioner: Tree | None = None,
    num_samples: int = 30,
    rng: Any = 0,
) -> Estimate:
    """Return an unbiased estimate of the trace of the Hessian, with its standard error.

    Parameters
    ----------
    objective, params, *data, curvature, preconditioner
        As for `sharpness`.
    method
        "hutchinson": the mean of <z, H z> over random signs z. "hutch++": a third of the products
        finds a space that holds most of the spectrum, whose trace is then exact; signs estimate
        the rest.
    num_samples
        How many products with the Hessian, in all.
    rng
        Seed, generator or key.

    Returns
    -------
    Estimate
        `value` and `standard_error`, arrays of shape ().

    Raises
    ------
    TypeError
        If `curvature` is "ggn" and the objective lacks its parts.
    ValueError
        If an option is unknown, or `num_samples` is below 1, or below 6 for "hutch++".

    Notes
    -----
    The error of "hutchinson" falls with the root of the number of products, that of "hutch++" with
    the number itself where the eigenvalues fall off. Both are exact for a diagonal Hessian.

    *Derivatives*: a constant of differentiation.

    References
    ----------
    R. Meyer, C. Musco, C. Musco, D. Woodruff, "Hutch++: Optimal Stochastic Trace Estimation",
    SOSA 2021, arXiv 2010.09649.

    Examples
    --------
    >>> import numpy as np
    >>> estimate = hessian_trace(lambda w: np.sum(w**4), np.asarray([1.0, 2.0]), num_samples=4)
    >>> float(estimate.value), float(estimate.standard_error)
    (60.0, 0.0)
    """
    check_choice("method", method, ("hutchinson", "hutch++"))
    least = 1 if method == "hutchinson" else 6
    check_integer("num_samples", num_samples, minimum=least)
    fixed = constants(params), constants(data), constants(preconditioner)
    matrix = matrix_of(objective, fixed[0], fixed[1], curvature, fixed[2])
    xp, draw = matrix.backend.namespace, sampler(rng, matrix.like)
    flat = matrix.ravel(fixed[0])
    if method == "hutchinson":
        noise = _signs(matrix, draw, num_samples)
        return hutchinson_trace(matrix.apply, flat, noise=noise)
    third = min(num_samples // 3, matrix.size)
    images = [matrix.apply(z) for z in xp.unstack(_signs(matrix, draw, third))]
    basis = _orthonormal(xp, images)
    exact = sum(xp.sum(q * matrix.apply(q)) for q in basis)

    def rest(z: Array) -> Array:
        return _outside(xp, matrix.apply(_outside(xp, z, basis)), basis)

    estimate = hutchinson_trace(rest, flat, noise=_signs(matrix, draw, num_samples - 2 * third))
    return Estimate(exact + estimate.value, estimate.standard_error)


def _signs(matrix: Matrix, draw: Any, count: int) -> Array:
    xp = matrix.backend.namespace
    drawn = rademacher(draw, (count, matrix.size), like=matrix.like)
    return xp.astype(drawn, matrix.dtype)


def _outside(xp: Any, v: Array, basis: list[Array]) -> Array:
    for q in basis:
        v = v - xp.sum(q * v) * q
    return v


def _orthonormal(xp: Any, vectors: list[Array]) -> list[Array]:
    """Return an orthonormal basis of the space of some vectors, 0 for those that add nothing."""
    basis: list[Array] = []
    for v in vectors:
        size = xp.sqrt(xp.sum(v * v))
        v = _outside(xp, v, basis)
        kept = xp.sqrt(xp.sum(v * v)) > _DEPENDENT**2 * size
        v = _outside(xp, v / positive(xp.sqrt(xp.sum(v * v))), basis)
        v = v / positive(xp.sqrt(xp.sum(v * v)))
        basis.append(xp.where(kept, v, xp.zeros_like(v)))
    return basis
