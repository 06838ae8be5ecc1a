"""Binder of the kernels of token rows: NumPy arrays, and CPU tensors through their memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .rows import numba_found

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


def _kernel(name: str) -> Any:
    return getattr(import_module(".cpu.token_rows", __package__), name)


def _grouped(x: Array, ndim: int) -> Array:
    """Return C-contiguous, writeable groups: kernels have one version a dtype."""
    shape = x.shape[x.ndim - ndim + 1 :]
    flat = np.ascontiguousarray(x).reshape((prod(x.shape[: x.ndim - ndim + 1]), *shape))
    return flat if flat.flags.writeable else flat.copy()


def _gather(x: Array, index: Array, scale: Array) -> Array:
    out = np.empty((*index.shape, x.shape[-1]), x.dtype)
    if out.size == 0:
        return out
    groups = _grouped(x, 3), _grouped(index, 2), _grouped(scale, 2)
    _kernel("gather_rows")(*groups, _grouped(out, 3))
    return out


def _sums(x: Array, places: Array, scale: Array) -> Array:
    out = np.empty((*places.shape[:-1], x.shape[-1]), x.dtype)
    if out.size == 0:
        return out
    groups = _grouped(x, 3), _grouped(places, 3), _grouped(scale, 2)
    _kernel("sum_rows")(*groups, _grouped(out, 3))
    return out


def _dots(x: Array, y: Array, index: Array) -> Array:
    out = np.empty(index.shape, x.dtype)
    if out.size == 0:
        return out
    groups = _grouped(x, 3), _grouped(y, 3), _grouped(index, 2)
    _kernel("row_dots")(*groups, out.reshape(-1, index.shape[-1]))
    return out


NUMPY = TokenRows(_gather, _sums, _dots)
