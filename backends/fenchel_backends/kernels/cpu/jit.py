"""How the row kernels are compiled: two decorators and the array type they speak of."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "compiled", "reducing"]

Rows = NDArray[Any]
"""A floating or integer row (n,), or rows (R, n), C-contiguous."""

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """Compile with strict IEEE arithmetic; a division by zero gives inf, as in NumPy."""
    return cast(_F, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def reducing(function: _F) -> _F:
    """Compile a sum so that it may be reordered, which is what makes it a vector loop.

    NaN and infinities keep their meaning: only association and contraction are free.
    """
    flags = {"reassoc", "contract", "nsz"}
    compiler = numba.njit(cache=True, error_model="numpy", nogil=True, fastmath=flags)
    return cast(_F, compiler(function))


@compiled
def own(params: Rows, row: int, column: int) -> float:
    """Parameter of a row: its own, or the one that all rows share."""
    return np.float64(params[row if params.shape[0] > 1 else 0, column])
