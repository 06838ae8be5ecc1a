"""Norms of vectors and matrices; derivative 0 where the norm is 0."""

from __future__ import annotations

from math import inf
from typing import Any

from .rules import Composite, Rule
from .traced import Array

__all__ = ["RULES", "safe_sqrt"]


def safe_sqrt(xp: Any, x: Array) -> Array:
    """Square root with derivative 0 at 0."""
    zero = xp.equal(x, 0)
    root = xp.sqrt(xp.where(zero, xp.ones_like(x), x))
    return xp.where(zero, xp.zeros_like(x), root)


def _squared_size(xp: Any, x: Array) -> Array:
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.real(xp.multiply(x, xp.conj(x)))
    return xp.square(x)


def _vector_norm(
    xp: Any, x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Array:
    where = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        return safe_sqrt(xp, xp.sum(_squared_size(xp, x), **where))
    size = xp.abs(x)
    if ord == inf:
        return xp.max(size, **where)
    if ord == -inf:
        return xp.min(size, **where)
    if ord == 1:
        return xp.sum(size, **where)
    if ord == 0:
        nonzero = xp.not_equal(size, 0)
        return xp.sum(xp.astype(nonzero, size.dtype), **where)
    return _power_norm(xp, size, float(ord), where)


def _power_norm(xp: Any, size: Array, p: float, where: dict[str, Any]) -> Array:
    """(sum size**p)**(1/p), with zero entries and a zero sum kept away from negative powers."""
    zero = xp.equal(size, 0)
    safe = xp.where(zero, xp.ones_like(size), size)
    at_zero = xp.full_like(size, 0.0 if p > 0 else inf)
    total = xp.sum(xp.where(zero, at_zero, xp.pow(safe, p)), **where)
    special = xp.logical_or(xp.equal(total, 0), xp.isinf(total))
    root = xp.pow(xp.where(special, xp.ones_like(total), total), 1.0 / p)
    return xp.where(special, xp.zeros_like(root), root)


def _matrix_norm(xp: Any, x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord == "fro":
        return xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = xp.linalg.svdvals(x)
        reduce = {"nuc": xp.sum, 2: xp.max, -2: xp.min}[ord]
        out = reduce(values, axis=-1)
    elif ord in (1, -1, inf, -inf):
        along, across = (-2, -1) if abs(ord) == 1 else (-1, -2)
        sums = xp.sum(xp.abs(x), axis=along, keepdims=True)
        reduce = xp.max if ord > 0 else xp.min
        out = xp.squeeze(reduce(sums, axis=across, keepdims=True), axis=(-2, -1))
    else:
        raise ValueError(f"`ord` must be 'fro', 'nuc', 1, 2, inf or their negatives; got {ord!r}")
    return xp.reshape(out, (*out.shape, 1, 1)) if keepdims else out


RULES: dict[str, Rule] = {
    "linalg.vector_norm": Composite(_vector_norm),
    "linalg.matrix_norm": Composite(_matrix_norm),
}
