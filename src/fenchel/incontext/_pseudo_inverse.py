r"""The pseudo-inverse of rows of tokens, with derivatives at full, deficient and zero rank.

The value comes from singular values, detached. Its derivatives are those of

    P_1 = A^H M A^H,   M = P^H P P^H,     P_{k+1} = P_k (2 I - A P_k)

(Ben-Israel & Cohen 1966), where M is a constant: for A near the point, P_1 has the rows and columns
of the pseudo-inverse of A and differs from it by a first-order term, which each step squares. Two
steps make derivatives exact up to the third order, as long as the rank stays.
"""

from __future__ import annotations

from typing import Any

from ..arrays import float_info
from ..contract import compiled
from ..kernels import reference_kernel
from ._numbers import adjoint, as_dtype, magnitude, real_dtype

__all__ = ["pseudo_inverse"]

Array = Any


@compiled()
def pseudo_inverse(backend: Any, a: Array) -> Array:
    """Return the Moore-Penrose inverse (..., d, m) of matrices (..., m, d)."""
    xp = backend.namespace
    found = backend.stop_gradient(reference_kernel(backend, unit_inverse)(backend.stop_gradient(a)))
    unit, scale = found[..., :-1, :], found[..., -1:, :1]
    scaled = a / scale  # of norm 1: powers of small singular values stay in range
    hermitian = adjoint(xp, unit)
    middle = xp.matmul(xp.matmul(hermitian, unit), hermitian)
    near = xp.matmul(xp.matmul(adjoint(xp, scaled), middle), adjoint(xp, scaled))
    for _ in range(2):
        near = 2.0 * near - xp.matmul(near, xp.matmul(scaled, near))
    return (unit + (near - backend.stop_gradient(near))) / scale


def unit_inverse(backend: Any, a: Array) -> Array:
    """Return the pseudo-inverse of a / |a| (..., d, m), and below it a row that holds |a|.

    Singular values below 10 max(m, d) eps of the largest count as zero. A matrix with an entry that
    is not finite gets |a| = NaN: factorizations refuse those, or all of a batch for one.
    """
    xp = backend.namespace
    square = xp.sum(magnitude(xp, a), axis=(-2, -1), keepdims=True)
    sound = xp.isfinite(square)
    a = xp.where(sound, a, xp.zeros_like(a))
    square = xp.where(sound & (square > 0), square, xp.ones_like(square))
    norm = as_dtype(xp, xp.sqrt(square), a.dtype)
    info = float_info(real_dtype(xp, a.dtype))
    eps = info.eps if info is not None else 2.0**-52
    inverse = xp.linalg.pinv(a / norm, rtol=10.0 * max(a.shape[-2:]) * eps)
    norm = xp.where(sound, norm, xp.full_like(norm, float("nan")))
    row = norm + xp.zeros_like(inverse[..., :1, :])
    return xp.concat([inverse, row], axis=-2)
