r"""Least squares token by token, in O(d^2).

With P the inverse of the Gram matrix (plus ridge), a pair (x, y) changes

    k = P x / (1 + x^H P x),    W <- W + (y - W x) k^H,    P <- P - k x^H P .

Without ridge, P is the pseudo-inverse on what was seen so far and N projects on the rest; an x
with a part z = N x there takes k = z / |z|^2 instead, and W stays the solution of least norm
(Albert & Sittler 1965).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import float_info
from ._numbers import adjoint, as_dtype, magnitude, real_dtype

__all__ = ["Recursion", "update"]

Array = Any


class Recursion(NamedTuple):
    """What the recursion carries.

    Attributes
    ----------
    matrix
        W (..., d, d).
    inverse
        P (..., d, d).
    null
        N (..., d, d); None where a ridge leaves nothing unseen.
    """

    matrix: Array
    inverse: Array
    null: Array | None


def update(backend: Any, state: Recursion, x: Array, y: Array) -> Recursion:
    """Return the state after the pair of columns (..., d, 1)."""
    xp = backend.namespace
    matrix, inverse, null = state
    px = xp.matmul(inverse, x)
    energy = 1.0 + xp.matmul(adjoint(xp, x), px)
    gain = px / energy
    known = inverse - xp.matmul(gain, adjoint(xp, px))
    if null is not None:
        gain, known, null = _with_unseen(backend, state, x, gain, known, (px, energy))
    error = y - xp.matmul(matrix, x)
    matrix = matrix + xp.matmul(error, adjoint(xp, gain))
    return Recursion(matrix, 0.5 * (known + adjoint(xp, known)), null)


def _with_unseen(
    backend: Any, state: Recursion, x: Array, gain: Array, known: Array, seen: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    """Return gain, P and N where x may have a part that was not seen before."""
    xp = backend.namespace
    _, inverse, null = state
    px, energy = seen
    z = xp.matmul(null, x)
    fresh, size = _square(xp, z), _square(xp, x)
    info = float_info(real_dtype(xp, x.dtype))
    limit = (info.eps if info is not None else 2.0**-52) ** (4 / 3)  # of squares
    new = fresh > limit * size
    safe = as_dtype(xp, xp.where(new, fresh, xp.ones_like(fresh)), x.dtype)
    k = z / safe
    cross = xp.matmul(px, adjoint(xp, k))
    wider = inverse - cross - adjoint(xp, cross) + energy * xp.matmul(k, adjoint(xp, k))
    rest = null - xp.matmul(k, adjoint(xp, z))
    return xp.where(new, k, gain), xp.where(new, wider, known), xp.where(new, rest, null)


def _square(xp: Any, x: Array) -> Array:
    return xp.sum(magnitude(xp, x), axis=(-2, -1), keepdims=True)
