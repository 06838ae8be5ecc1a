"""Smallest and largest entry of a row, and whether it holds a NaN, in one vector pass.

A comparison of floats that respects NaN is not a vector reduction. The bits of a float, read as an
integer with the low bits flipped for negative numbers, are ordered as the floats are, with the NaNs
outside the infinities: an integer minimum and maximum answers all three questions.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .jit import Rows, compiled

__all__ = ["extrema", "finite_extrema", "share_infinities"]


def _bits(x: Rows) -> Rows:
    """Read floats as integers of the same size."""
    return x.view(np.int32 if x.dtype == np.float32 else np.int64)


def _floats(bits: Rows) -> Rows:
    """Read integers as floats of the same size."""
    return bits.view(np.float32 if bits.dtype == np.int32 else np.float64)


@overload(_bits, strict=False)
def _compiled_bits(x: Any) -> Any:
    integer = np.int32 if x.dtype == types.float32 else np.int64
    return lambda x: x.view(integer)


@overload(_floats, strict=False)
def _compiled_floats(bits: Any) -> Any:
    real = np.float32 if bits.dtype == types.int32 else np.float64
    return lambda bits: bits.view(real)


@compiled
def extrema(x: Rows) -> tuple[float, float]:
    """Minimum and maximum of a row; one of them is NaN if an entry is."""
    bits = _bits(x)
    shift = 8 * bits.itemsize - 1
    ends = np.empty(2, bits.dtype)
    ends[0] = 2**shift - 1
    low_bits = ends[0]
    low = high = bits[0] ^ ((bits[0] >> shift) & low_bits)
    for i in range(bits.size):
        key = bits[i] ^ ((bits[i] >> shift) & low_bits)
        low = min(low, key)
        high = max(high, key)
    ends[0] = low ^ ((low >> shift) & low_bits)
    ends[1] = high ^ ((high >> shift) & low_bits)
    values = _floats(ends)
    return np.float64(values[0]), np.float64(values[1])


@compiled
def finite_extrema(x: Rows) -> tuple[float, float, int, int]:
    """Minimum and maximum of the finite entries, number of -inf, number of +inf (no NaN)."""
    low, high, below, above = np.inf, -np.inf, 0, 0
    for value in x:
        if value == -np.inf:
            below += 1
        elif value == np.inf:
            above += 1
        else:
            low = min(low, np.float64(value))
            high = max(high, np.float64(value))
    return low, high, below, above


@compiled
def share_infinities(x: Rows, k: float, y: Rows) -> None:
    """Let entries of +inf share k equally where there are more of them; the others then get 0."""
    count = 0
    for value in x:
        count += value == np.inf
    if count < k or count == 0:
        return
    for i in range(x.size):
        y[i] = k / count if x[i] == np.inf else 0.0
