"""Binder of the kernels of token rows: NumPy arrays, and CPU tensors through their memory."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiled import cpu_function, numba_found
from .rows import behaved

__all__ = ["NUMPY", "TokenRows", "served"]

Array = NDArray[Any]


class TokenRows(NamedTuple):
    """Passes over rows (..., R, d); indices are int32, and R or more stands for none."""

    gather: Callable[..., Any]  # (x, index, scale): scale times the rows at index (..., S)
    sums: Callable[..., Any]  # (x, places, scale): sums of scaled rows at places (..., S, q)
    dots: Callable[..., Any]  # (x, y, index): products of rows of x with those of y at index


def served(dtype: str) -> bool:
    """Whether rows of a dtype are served: float32 and float64 where numba is installed."""
    return dtype in ("float32", "float64") and numba_found()


def _run(name: str, shape: tuple[int, ...], axes: tuple[int, ...], *inputs: Array) -> Array:
    """Return what a kernel writes, of this shape; arrays have so many axes within a group."""
    out = np.empty(shape, inputs[0].dtype)
    if out.size:
        groups = map(_grouped, map(behaved, (*inputs, out)), axes)
        cpu_function("token_rows", name)(*groups)
    return out


def _grouped(x: Array, axes: int) -> Array:
    lead = x.ndim - axes
    return x.reshape((prod(x.shape[:lead]), *x.shape[lead:]))


def _gather(x: Array, index: Array, scale: Array) -> Array:
    return _run("gather_rows", (*index.shape, x.shape[-1]), (2, 1, 1, 2), x, index, scale)


def _sums(x: Array, places: Array, scale: Array) -> Array:
    return _run("sum_rows", (*places.shape[:-1], x.shape[-1]), (2, 2, 1, 2), x, places, scale)


def _dots(x: Array, y: Array, index: Array) -> Array:
    return _run("row_dots", index.shape, (2, 2, 1, 1), x, y, index)


NUMPY = TokenRows(_gather, _sums, _dots)
