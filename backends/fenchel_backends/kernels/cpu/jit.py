"""How the row kernels are compiled: decorators and the array type they speak of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "adding", "at", "compiled", "inlined", "reducing"]

Rows = NDArray[Any]
"""A floating or integer row (n,), or rows (R, n), C-contiguous."""

at = np.uintp
"""Write ``x[at(i)]`` in a hot loop for an index that is not negative.

A signed index is tested at every access, in case it counts from the end: that alone took a third
of the time of the pooling passes.
"""

_F = TypeVar("_F", bound=Callable[..., Any])


_NEWEST = max(file.stat().st_mtime_ns for file in Path(__file__).parent.glob("*.py"))


def _stamped(dispatcher: Any) -> Any:
    """Let the cache on disk see every file of this folder.

    Numba compares the date of the file a kernel stands in, and would serve a kernel that was
    compiled with an older helper from another file.
    """
    cache_file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = (cache_file._source_stamp, _NEWEST)
    return dispatcher


def compiled(function: _F) -> _F:
    """Compile with strict IEEE arithmetic; a division by zero gives inf, as in NumPy."""
    return cast(_F, _stamped(numba.njit(cache=True, error_model="numpy", nogil=True)(function)))


def reducing(function: _F) -> _F:
    """Compile a sum so that it may be reordered, which is what makes it a vector loop.

    NaN and infinities keep their meaning: only association and contraction are free.
    """
    flags = {"reassoc", "contract", "nsz"}
    compiler = numba.njit(cache=True, error_model="numpy", nogil=True, fastmath=flags)
    return cast(_F, _stamped(compiler(function)))


def adding(function: _F) -> _F:
    """Compile a sum so that it may be reordered, each of its terms rounded as it is written.

    A fused multiply-add would not bring an entry back to the bound that it was solved for.
    """
    compiler = numba.njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "nsz"})
    return cast(_F, _stamped(compiler(function)))


def inlined(function: _F) -> _F:
    """Compile into the loop that calls it, with fused multiply-adds and nothing else reordered."""
    compiler = numba.njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
    return cast(_F, compiler(function))


@compiled
def own(params: Rows, row: int, column: int) -> float:
    """Parameter of a row: its own, or the one that all rows share."""
    return np.float64(params[row if params.shape[0] > 1 else 0, column])
