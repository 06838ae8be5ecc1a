"""Axes and shapes: what the rules of reductions and manipulations share."""

from __future__ import annotations

from math import prod
from typing import Any

from .traced import Array

__all__ = ["as_tuple", "count_along", "expand_reduced", "inverse_permutation", "normalize"]


def normalize(axis: int, ndim: int) -> int:
    """Return a non-negative axis."""
    if not -ndim <= axis < ndim:
        raise ValueError(f"`axis` must be in [-{ndim}, {ndim}); got {axis}")
    return axis % ndim


def as_tuple(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes meant by None, an int or a tuple."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, tuple | list):
        return tuple(normalize(int(a), ndim) for a in axis)
    return (normalize(int(axis), ndim),)


def expand_reduced(xp: Any, g: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """Return a reduced array that broadcasts against `x`: reduced axes back, of length one."""
    if keepdims or (axis is None and not g.shape and len(x.shape) <= 1):
        return g  # a number broadcasts against a vector as it is
    axes = as_tuple(axis, len(x.shape))
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return xp.reshape(g, shape)


def count_along(x: Array, axis: Any) -> int:
    """Return the number of entries that a reduction over `axis` takes together."""
    return prod(x.shape[a] for a in as_tuple(axis, len(x.shape)))


def inverse_permutation(axes: Any) -> tuple[int, ...]:
    """Return the permutation that undoes `axes`."""
    n = len(axes)
    return tuple(sorted(range(n), key=lambda i: axes[i] % n))
