"""Entmax loss at alpha = 1.5 and its gradient, in r = sqrt(p) = (w - s)_+ with w = 1 + (x - max)/2.

The loss is 2/3 sum (sqrt(y) - r)^2 (2 sqrt(y) + r) + sum of 2 y_i (s - w_i) where p_i = 0.
"""

import numpy as np

from .jit import Rows, compiled, inlined, reducing
from .loss_roots import root2
from .loss_window import (
    EMPTY,
    GOOD,
    SPOILT,
    factor_of,
    gather,
    height_of,
    spoil,
    start2,
    state,
    take_pivot,
    tops,
)

__all__ = ["loss_entmax15_dense", "loss_entmax15_index"]


@compiled
def _index_value(
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
    cubes, r_k = 0.0, 1.0 - s if pivot == k else 0.0
    g[:] = 0.0
    for j in range(count):
        r, i = w[j] - s, places[j]
        g[i] = r * r * factor
        if i == k:
            r_k = r
        else:
            cubes += r * r * r
    if pivot == k:
        g[k] = -s * (2.0 - s) * factor
        return 2.0 / 3.0 * (cubes + s * s * (3.0 - s))
    g[pivot] = (1.0 - s) ** 2 * factor
    if height > -np.inf:
        g[k] = (r_k * r_k - 1.0) * factor
    cubes += (1.0 - s) ** 3 + (1.0 - r_k) ** 2 * (2.0 + r_k)
    return 2.0 / 3.0 * cubes + (2.0 * (s - height) if r_k == 0.0 else 0.0)


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
    least = start2(x, high)
    count = gather(x, high, 1.0, 0.5, least, k if at_target else -1, w, places)
    pivot = k
    if not at_target:
        count = take_pivot(w, places, count)
        pivot = places[count]
    s, count = root2(w, places, count, least)
    height = height_of(x[k], high, 1.0, 0.5)
    return _index_value(w, places, count, s, pivot, k, height, factor, g)


@compiled
def loss_entmax15_index(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for a class; no params."""
    w, places = np.empty(x.shape[1]), np.empty(x.shape[1], np.int64)
    factor = factor_of(params, 0)
    for r in range(x.shape[0]):
        loss[r] = _index_row(x[r], target[r, 0], factor, w, places, gradient[r])


@inlined
def _bregman(root: float, r: float) -> float:
    return (2.0 / 3.0) * (root - r) * (root - r) * (2.0 * root + r)


@reducing
def _dense_pass(x: Rows, y: Rows, high: float, s: float, g: Rows) -> float:
    loss = 0.0
    for i in range(x.size):
        height = height_of(x[i], high, 1.0, 0.5)
        r = max(height - s, 0.0)
        share = np.float64(y[i])
        slack = 2.0 * share * (s - height) if r == 0.0 and share != 0.0 else 0.0
        loss += _bregman(np.sqrt(share), r) + slack
        g[i] = r * r - share if height > -np.inf else 0.0
    return loss


@compiled
def _dense_row(x: Rows, y: Rows, w: Rows, places: Rows, g: Rows) -> float:
    kind, high = state(x)
    if kind == SPOILT:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    least = start2(x, high)
    count = take_pivot(w, places, gather(x, high, 1.0, 0.5, least, -1, w, places))
    pivot = places[count]
    s = root2(w, places, count, least)[0]
    loss = _dense_pass(x, y, high, s, g)
    # 1 - s has lost the digits of s, which are all there is at the optimum
    share = np.float64(y[pivot])
    root = np.sqrt(share)
    residual = (root - 1.0) + s
    loss += 2.0 / 3.0 * residual * residual * (2.0 * root + (1.0 - s))
    loss -= _bregman(root, 1.0 - s)
    g[pivot] = (1.0 - share) - s * (2.0 - s)
    return spoil(g, np.nan) if np.isnan(loss) else loss


@compiled
def loss_entmax15_dense(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for label proportions; no params."""
    w, places = np.empty(x.shape[1]), np.empty(x.shape[1], np.int64)
    for r in range(x.shape[0]):
        loss[r] = _dense_row(x[r], target[r], w, places, gradient[r])
