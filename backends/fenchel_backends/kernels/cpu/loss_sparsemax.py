"""Sparsemax loss and its gradient: 1/2 |y - p|^2 + sum of y_i (tau - x_i) where p_i = 0."""

import numpy as np

from .jit import Rows, compiled, reducing
from .loss_roots import root1
from .loss_window import (
    EMPTY,
    GOOD,
    SPOILT,
    factor_of,
    gather,
    height_of,
    spoil,
    state,
    take_pivot,
    tops,
)

__all__ = ["dense_row", "index_value", "loss_sparsemax_dense", "loss_sparsemax_index"]


@compiled
def index_value(
    w: Rows,
    places: Rows,
    count: int,
    s: float,
    pivot: int,
    k: int,
    height: float,
    factor: float,
    g: Rows,
) -> float:
    """Loss of a class from the support of its row; `height` is w_k, `pivot` the largest entry.

    The gradient is multiplied by `factor`.
    """
    loss, p_k = 0.0, 1.0 - s if pivot == k else 0.0
    g[:] = 0.0
    for j in range(count):
        p, i = w[j] - s, places[j]
        g[i] = p * factor
        if i == k:
            p_k = p
        else:
            loss += p * p
    if pivot == k:
        g[k] = -s * factor
        return 0.5 * (loss + s * s)
    g[pivot] = (1.0 - s) * factor
    loss += (1.0 - s) ** 2 + (1.0 - p_k) ** 2
    if height > -np.inf:
        g[k] = (p_k - 1.0) * factor
    return 0.5 * loss + (s - height if p_k == 0.0 else 0.0)


@compiled
def _index_row(x: Rows, k: int, factor: float, w: Rows, places: Rows, g: Rows) -> float:
    kind, high = state(x)
    if kind == SPOILT or not 0 <= k < x.size:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    at_target = np.float64(x[k]) == high
    count = gather(x, high, 1.0, 1.0, 0.0, k if at_target else -1, w, places)
    pivot = k
    if not at_target:
        count = take_pivot(w, places, count)
        pivot = places[count]
    s, count = root1(w, places, count)
    height = height_of(x[k], high, 1.0, 1.0)
    return index_value(w, places, count, s, pivot, k, height, factor, g)


@compiled
def loss_sparsemax_index(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for a class; no params."""
    w, places = np.empty(x.shape[1]), np.empty(x.shape[1], np.int64)
    factor = factor_of(params, 0)
    for r in range(x.shape[0]):
        loss[r] = _index_row(x[r], target[r, 0], factor, w, places, gradient[r])


@reducing
def _dense_pass(x: Rows, y: Rows, high: float, s: float, g: Rows) -> float:
    loss = 0.0
    for i in range(x.size):
        height = height_of(x[i], high, 1.0, 1.0)
        p = max(height - s, 0.0)
        share = np.float64(y[i])
        residual = p - share
        slack = share * (s - height) if p == 0.0 and share != 0.0 else 0.0
        loss += 0.5 * residual * residual + slack
        g[i] = residual if height > -np.inf else 0.0
    return loss


@compiled
def dense_row(x: Rows, y: Rows, w: Rows, places: Rows, g: Rows) -> float:
    """Loss of label proportions y for one row."""
    kind, high = state(x)
    if kind == SPOILT:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    count = take_pivot(w, places, gather(x, high, 1.0, 1.0, 0.0, -1, w, places))
    pivot = places[count]
    s = root1(w, places, count)[0]
    loss = _dense_pass(x, y, high, s, g)
    # 1 - s has lost the digits of s, which are all there is at the optimum
    share = np.float64(y[pivot])
    exact, rounded = (1.0 - share) - s, (1.0 - s) - share
    g[pivot] = exact
    loss += 0.5 * (exact - rounded) * (exact + rounded)
    return spoil(g, np.nan) if np.isnan(loss) else loss


@compiled
def loss_sparsemax_dense(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for label proportions; no params."""
    w, places = np.empty(x.shape[1]), np.empty(x.shape[1], np.int64)
    for r in range(x.shape[0]):
        loss[r] = dense_row(x[r], target[r], w, places, gradient[r])
