"""The Gauss-Newton system from the Gram matrix of the network: one eigendecomposition, any gamma.

With omega H = R R^T and the metric's part of N left out, S = R^T J M^-1 J^T R has eigenvalues and
vectors that do not depend on gamma, and t(gamma) = gamma (I + gamma S)^-1 R^T J M^-1 b.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Backend
from ._batch import Model
from ._dual_cg import Array, Map, Solution, Vector

__all__ = ["Factorization", "eigh", "factorize", "gram_matrix", "solve_factorized"]


class Factorization(NamedTuple):
    """S = vectors diag(values) vectors^T for N = 1, and what else every gamma needs."""

    curvature: Map
    b: Vector
    values: Array
    vectors: Array
    right: Array  # J N^-1 b, (m, k)
    factor: Array  # R, (m, k, k)
    gram: Array


def jacobian_rows(model: Model) -> list[Array]:
    """Return the Jacobian, a leaf a matrix (m k, size)."""
    xp, backend, z = model.backend.namespace, model.backend, model.outputs
    n = z.shape[0] * z.shape[1]
    eye = xp.eye(n, dtype=z.dtype, device=backend.device_of(z))
    rows = xp.reshape(eye, (n, *z.shape))
    found = backend.vmap(lambda u: tuple(model.line.pull(u)))(rows)
    return [xp.reshape(x, (n, -1)) for x in found]


def gram_matrix(model: Model) -> Array:
    """Return K = J N^-1 J^T, (m k, m k)."""
    xp, near = model.backend.namespace, model.near
    total: Any = 0.0
    rows = jacobian_rows(model)
    for place, row in enumerate(rows):
        if near.diagonal is None:
            short = row / near.scale
        else:
            short = row / xp.reshape(near.diagonal[place], (1, -1))
        total = total + xp.matmul(short, xp.matrix_transpose(row))
    return total


def eigh(xp: Any, matrices: Array) -> tuple[Array, Array]:
    """Return eigenvalues, ascending, and eigenvectors; NaN where a matrix is not finite."""
    sound = xp.all(xp.isfinite(matrices), axis=(-2, -1))[..., None]
    # Libraries raise there, or return numbers.
    zeros = xp.zeros_like(matrices)
    values, vectors = xp.linalg.eigh(xp.where(sound[..., None], matrices, zeros))
    return xp.where(sound, values, xp.nan * values), vectors


def dense_curvature(backend: Backend, curvature: Map, like: Array) -> Array:
    """Return the Hessians as matrices (m, k, k)."""
    xp, k = backend.namespace, like.shape[1]
    eye = xp.eye(k, dtype=like.dtype, device=backend.device_of(like))
    columns = [curvature(xp.zeros_like(like) + eye[j, :]) for j in range(k)]
    return xp.stack(columns, axis=-1)


def factorize(model: Model, curvature: Map, b: Vector) -> Factorization:
    """Form and decompose the Gram matrix: m k pulls and (m k)^3 operations."""
    xp, z = model.backend.namespace, model.outputs
    m, k = z.shape
    hessians = dense_curvature(model.backend, curvature, z)
    hessians = 0.5 * (hessians + xp.matrix_transpose(hessians))
    values, vectors = eigh(xp, hessians)
    roots = xp.sqrt(xp.maximum(values, xp.zeros_like(values)) * model.omega)
    factor = vectors * xp.expand_dims(roots, axis=-2)
    gram = gram_matrix(model)
    blocks = xp.reshape(gram, (m, k, m * k))
    left = xp.reshape(xp.matmul(xp.matrix_transpose(factor), blocks), (m * k, m * k))
    blocks = xp.reshape(xp.matrix_transpose(left), (m, k, m * k))
    s = xp.reshape(xp.matmul(xp.matrix_transpose(factor), blocks), (m * k, m * k))
    values, vectors = eigh(xp, 0.5 * (s + xp.matrix_transpose(s)))
    values = xp.maximum(values, xp.zeros_like(values))
    right = model.line.push(model.near.solve(b))
    return Factorization(curvature, b, values, vectors, right, factor, gram)


def solve_factorized(model: Model, parts: Factorization, scale: Any = 1.0) -> Solution:
    """Return the solution for N / scale, where `parts` belong to N."""
    xp, z = model.backend.namespace, model.outputs
    shape = (*z.shape, 1)
    factor, across = parts.factor, xp.matrix_transpose(parts.factor)
    turned = xp.matrix_transpose(parts.vectors)
    right = xp.reshape(xp.matmul(across, scale * parts.right[..., None]), (-1, 1))
    slopes = xp.expand_dims(1.0 + scale * parts.values, axis=-1)
    t = xp.matmul(parts.vectors, xp.matmul(turned, right) / slopes)
    weighted = xp.matmul(factor, xp.reshape(t, shape))  # omega H u
    image = scale * xp.matmul(parts.gram, xp.reshape(weighted, (-1, 1)))
    image = xp.reshape(image, tuple(z.shape)) - scale * parts.right
    bent = parts.curvature(image)
    rest = xp.reshape(xp.matmul(across, image[..., None]), (-1, 1)) + t
    lift = -bent  # H u at the solution, where u = -J d
    pulled = model.pull(lift)
    d = model.near.solve([x - y for x, y in zip(parts.b, pulled, strict=True)])
    gap = 0.5 * xp.sum(rest * rest)
    return Solution([-scale * x for x in d], lift, image, bent, gap, 0)
