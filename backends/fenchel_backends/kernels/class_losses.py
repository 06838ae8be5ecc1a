"""Losses of class indices on plain NumPy arrays, reduced: the kernel and nothing around it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import numba_found, raw_kernel
from .rows import flatten, pack
from .table import LOSSES

__all__ = ["class_loss"]

Array = NDArray[Any]
_REAL = (np.dtype(np.float32), np.dtype(np.float64))
_INDEX = np.dtype(np.int64)


def class_loss(
    name: str,
    params: tuple[float, ...],
    scores: Array,
    target: Array,
    divisor: int,
    summed: bool,
) -> tuple[Any, Array] | None:
    """Return the loss and its gradient, divided; None where other ways must be gone.

    Parameters
    ----------
    name : str
        Name in the table of losses, of class indices.
    params : tuple of float
        Parameters of the loss.
    scores : ndarray (..., n)
        Scores, float32 or float64.
    target : ndarray (...)
        Classes, int64.
    divisor : int
        What the loss and the gradient are divided by.
    summed : bool
        Whether the rows are summed.

    Returns
    -------
    tuple of ndarray or None
        Loss, a scalar or (...), and gradient (..., n). None for other dtypes, without numba, and
        where a row is NaN, as one is whose class is out of range.

    Examples
    --------
    >>> x, k = np.array([[0.5, 0.0, -2.0]]), np.array([0])
    >>> class_loss("loss_sparsemax_index", (), x, k, 1, True)
    (np.float64(0.0625), array([[-0.25,  0.25,  0.  ]]))
    """
    if type(scores) is not np.ndarray or scores.dtype not in _REAL or target.dtype != _INDEX:
        return None
    kernel = _kernel(name)
    if kernel is None:
        return None
    x = flatten(scores)
    dtype = x.dtype
    loss, gradient = np.empty(x.shape[0], dtype), np.empty(x.shape, dtype)
    # the kernel divides the gradient by a parameter that follows its own
    kernel(x, flatten(target.reshape(-1, 1)), pack((*params, divisor), (), dtype), loss, gradient)
    total = np.add.reduce(loss)
    if total != total:  # no row is below 0, so infinite ones do not cancel
        return None
    value = total / divisor if summed else loss.reshape(target.shape)
    return value, gradient.reshape(scores.shape)


@cache
def _kernel(name: str) -> Any:
    return raw_kernel(name) if name in LOSSES and numba_found() else None
