"""Window filter: the few entries of a row that can lie in the support of a sparse argmax."""

import numpy as np

from .jit import Rows, compiled

__all__ = ["survivors"]

_CHUNK = 32


@compiled
def _chunk_maximum(x: Rows, start: int, stop: int) -> float:
    # a select, not max(): vectorised, and rows with NaN never come here
    top = x[start]
    for i in range(start, stop):
        top = x[i] if x[i] > top else top
    return float(top)


@compiled
def survivors(x: Rows, pivot: float, width: float) -> Rows:
    """Entries above ``pivot - width``, shifted by ``pivot``, in float64."""
    kept = np.empty(x.size, np.float64)
    count, floor = 0, pivot - width
    for start in range(0, x.size, _CHUNK):
        stop = min(x.size, start + _CHUNK)
        if _chunk_maximum(x, start, stop) <= floor:
            continue
        for i in range(start, stop):
            shifted = x[i] - pivot
            kept[count] = shifted
            count += shifted > -width
    return kept[:count]
