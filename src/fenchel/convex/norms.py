"""Euclidean norms of rows that neither overflow nor lose their derivative at 0."""

from __future__ import annotations

from ..backend import Array, Backend

__all__ = ["finite_direction", "row_norm", "signs"]


def signs(backend: Backend, x: Array) -> Array:
    """Return the sign of each entry as a constant, NaN of NaN.

    That of array-api-compat writes into its result for torch, which `vmap` refuses.
    """
    xp, data = backend.namespace, backend.stop_gradient(x)
    ones, zeros = xp.ones_like(data), xp.zeros_like(data)
    sign = xp.where(data > 0, ones, xp.where(data < 0, -ones, zeros))
    return xp.where(xp.isnan(data), data, sign)


def finite_direction(backend: Backend, x: Array) -> Array:
    """Return `x`, and where a row has infinite entries its direction in the limit."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    infinite = xp.isinf(data)
    some = xp.any(infinite, axis=-1, keepdims=True)
    limit = xp.where(infinite, signs(backend, data), xp.zeros_like(data))
    return xp.where(some & ~xp.isnan(data), limit, x)


def row_norm(backend: Backend, x: Array) -> Array:
    """Return the norm of each row, (..., 1); a row of zeros has norm 0 with derivative 0."""
    xp = backend.namespace
    size = xp.max(xp.abs(backend.stop_gradient(x)), axis=-1, keepdims=True)
    none = size == 0
    size = xp.where(none | xp.isinf(size), xp.ones_like(size), size)
    total = xp.sum((x / size) ** 2, axis=-1, keepdims=True)
    root = xp.sqrt(xp.where(none, xp.ones_like(total), total))
    return xp.where(none, xp.zeros_like(total), root * size)
