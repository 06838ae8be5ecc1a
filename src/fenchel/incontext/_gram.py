"""Least squares from sums of products: steps of gradient descent, Newton and Schulz's inverse."""

from __future__ import annotations

from typing import Any

from ._numbers import adjoint, as_dtype, conj, magnitude

__all__ = ["descend", "newton_schulz", "products"]

Array = Any


def products(xp: Any, x: Array, y: Array) -> tuple[Array, Array]:
    """Return x x^H and y x^H of each pair of rows (..., d): two arrays (..., d, d)."""
    rows = xp.expand_dims(conj(xp, x), axis=-2)
    return xp.expand_dims(x, axis=-1) * rows, xp.expand_dims(y, axis=-1) * rows


def descend(backend: Any, gram: Array, cross: Array, steps: int, step_size: Any) -> Array:
    """Return W after steps on half the sum of |y - W x|^2 from 0; 1 / |gram| as default rate."""
    xp = backend.namespace
    if step_size is None:
        square = _norm_square(xp, gram)
        positive = square > 0
        root = xp.sqrt(xp.where(positive, square, xp.ones_like(square)))
        step_size = as_dtype(xp, xp.where(positive, 1.0 / root, xp.zeros_like(root)), gram.dtype)

    def body(_: Any, w: Array) -> Array:
        return w + step_size * (cross - xp.matmul(w, gram))

    # the first step, from 0, needs no product
    first = step_size * cross
    return backend.fori_loop(1, steps, body, first) if steps > 1 else first


def newton_schulz(backend: Any, gram: Array, cross: Array, steps: int) -> Array:
    """Return cross times the inverse of the Gram matrix after `steps` of Newton and Schulz."""
    xp = backend.namespace
    square = _norm_square(xp, gram)
    safe = as_dtype(xp, xp.where(square > 0, square, xp.ones_like(square)), gram.dtype)

    def body(_: Any, p: Array) -> Array:
        return 2.0 * p - xp.matmul(p, xp.matmul(gram, p))

    return xp.matmul(cross, backend.fori_loop(0, steps, body, adjoint(xp, gram) / safe))


def _norm_square(xp: Any, x: Array) -> Array:
    return xp.sum(magnitude(xp, x), axis=(-2, -1), keepdims=True)
