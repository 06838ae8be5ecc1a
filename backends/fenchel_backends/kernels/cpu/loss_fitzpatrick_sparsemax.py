"""Fitzpatrick sparsemax loss: twice the sparsemax loss at the scores z = (x + y)/2.

For a class only its own score moves. Where it is the largest, w_j = (1 + x_j - x_k)/2 for the
others, which is exact where it is small.
"""

import numpy as np

from .jit import Rows, compiled
from .loss_roots import root1
from .loss_sparsemax import dense_row, index_value
from .loss_window import (
    EMPTY,
    GOOD,
    INFINITE,
    SPOILT,
    factor_of,
    gather,
    only_class,
    spoil,
    state,
    take_pivot,
    tops,
)

__all__ = ["loss_fitzpatrick_sparsemax_dense", "loss_fitzpatrick_sparsemax_index"]


@compiled
def _index_row(x: Rows, k: int, factor: float, w: Rows, places: Rows, g: Rows) -> float:
    kind, high = state(x)
    if kind == SPOILT or not 0 <= k < x.size:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    own = np.float64(x[k])
    if own + 1.0 >= high:
        pivot, height = k, 1.0
        count = gather(x, own, 0.5, 0.5, 0.0, k, w, places)
    else:
        count = take_pivot(w, places, gather(x, high, 1.0, 0.5, 0.0, k, w, places))
        pivot, height = places[count], 1.0 + 0.5 * ((own - high) + 1.0)
        if height > 0.0:
            w[count], places[count] = height, k
            count += 1
    s, count = root1(w, places, count)
    return 2.0 * index_value(w, places, count, s, pivot, k, height, factor, g)


@compiled
def loss_fitzpatrick_sparsemax_index(
    x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows
) -> None:
    """Loss and gradient of each row for a class; no params."""
    w, places = np.empty(x.shape[1]), np.empty(x.shape[1], np.int64)
    factor = factor_of(params, 0)
    for r in range(x.shape[0]):
        loss[r] = _index_row(x[r], target[r, 0], factor, w, places, gradient[r])


@compiled
def _dense_row(x: Rows, y: Rows, z: Rows, w: Rows, places: Rows, g: Rows) -> float:
    k = only_class(y)
    if k >= 0:
        return _index_row(x, k, 1.0, w, places, g)
    if state(x)[0] == INFINITE:
        x = tops(x)
    for i in range(x.size):
        z[i] = 0.5 * (np.float64(x[i]) + np.float64(y[i]))
    return 2.0 * dense_row(z, y, w, places, g)


@compiled
def loss_fitzpatrick_sparsemax_dense(
    x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows
) -> None:
    """Loss and gradient of each row for label proportions; no params."""
    n = x.shape[1]
    w, z, places = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for r in range(x.shape[0]):
        loss[r] = _dense_row(x[r], target[r], z, w, places, gradient[r])
