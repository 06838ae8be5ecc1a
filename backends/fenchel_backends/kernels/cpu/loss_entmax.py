"""Entmax loss for 1 <= alpha <= 2 and its gradient.

With a = alpha - 1, c = 1/a, v = a (x - max x) and p_i = (1 + v_i - s)_+^c the loss is the sum of
[y^alpha - p^alpha - alpha p^a (y - p)] / (alpha a), and of y_i (s - w_i) / a where p_i = 0.
"""

import numpy as np

from .jit import Rows, compiled, own
from .loss_logistic import dense_row as logistic_dense
from .loss_logistic import index_row as logistic_index
from .loss_roots import base, logarithm, power_root
from .loss_window import EMPTY, GOOD, SPOILT, factor_of, gather, spoil, state, take_pivot, tops

__all__ = ["loss_entmax_dense", "loss_entmax_index"]

_TERMS = 12


@compiled
def _solve(
    x: Rows, high: float, a: float, skip: int, w: Rows, v: Rows, places: Rows, p: Rows
) -> tuple[float, int, int]:
    """Root, size of the support without the pivot, and the pivot; fills w, v, places and p."""
    count, pivot = gather(x, high, 1.0, a, 0.0, skip, w, places), skip
    if skip < 0:
        count = take_pivot(w, places, count)
        pivot = places[count]
    for j in range(count):
        # the difference itself: 1 + v has lost the digits that the power c of alpha near 1 needs
        v[j] = a * (np.float64(x[places[j]]) - high)
    s, count = power_root(w, v, places, count, 1.0 / a, p)
    return s, count, pivot


@compiled
def _pivot_term(s: float, a: float) -> float:
    """Term of the pivot as the target: the integral of q(u) = 1 - (1 - u)^c from 0 to s, over a.

    In closed form it is [s - a q(s) (1 - s)] / (alpha a), whose terms cancel where c s is small:
    there the series of q is integrated.
    """
    c = 1.0 / a
    if c * s < 0.1:
        total, power = 0.0, -s
        for n in range(1, _TERMS):
            power *= -(c - n + 1.0) / n * s
            total += power / (n + 1.0)
        return total / a
    q = -np.expm1(c * np.log1p(-s))
    return float((s / a - q * (1.0 - s)) / (1.0 + a))


@compiled
def _target_term(u: float, t: float, p: float, a: float) -> float:
    """Term of a target with a share p = u^c > 0, u = 1 + t, that is not the largest."""
    return float((p * u - u - t / a) / (1.0 + a))


@compiled
def _index_row(
    x: Rows,
    k: int,
    alpha: float,
    factor: float,
    w: Rows,
    v: Rows,
    places: Rows,
    p: Rows,
    g: Rows,
) -> float:
    kind, high = state(x)
    if kind == SPOILT or not alpha >= 1.0 or not 0 <= k < x.size:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    a = alpha - 1.0
    if a == 0.0:
        return logistic_index(x, k, factor, g)
    if kind != GOOD:
        x, high = tops(x), 0.0
    skip = k if np.float64(x[k]) == high else -1
    s, count, pivot = _solve(x, high, a, skip, w, v, places, p)
    g[:] = 0.0
    others, height = 0.0, a * (np.float64(x[k]) - high)
    own_term = float(1.0 / (alpha * a) + (s - (1.0 + height)) / a)
    if height > -np.inf:
        g[k] = -factor
    for j in range(count):
        i = places[j]
        if i == k:
            own_term = _target_term(base(w[j], v[j], s), v[j] - s, p[j], a)
            g[k] = (p[j] - 1.0) * factor
        else:
            others += p[j] * base(w[j], v[j], s)
            g[i] = p[j] * factor
    top = float(np.log1p(-s) / a)
    if pivot == k:
        g[k] = np.expm1(top) * factor
        return others / alpha + _pivot_term(s, a)
    g[pivot] = np.exp(top) * factor
    return float((others + np.exp(top) * (1.0 - s)) / alpha + own_term)


@compiled
def loss_entmax_index(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for a class; params: alpha."""
    n = x.shape[1]
    w, v, p, places = np.empty(n), np.empty(n), np.empty(n), np.empty(n, np.int64)
    factor = factor_of(params, 1)
    for r in range(x.shape[0]):
        alpha = own(params, r, 0)
        loss[r] = _index_row(x[r], target[r, 0], alpha, factor, w, v, places, p, gradient[r])


@compiled
def _bregman(y: float, p: float, u: float, log_u: float, a: float) -> float:
    """Divergence of y >= 0 from p = u^(1/a) > 0; a series where they are close."""
    alpha, e = 1.0 + a, y / p - 1.0
    if abs(e) < 0.05:
        total, coefficient, power = 0.0, 0.5, e * e
        for n in range(2, _TERMS + 2):
            total += coefficient * power
            coefficient *= (alpha - n) / (n + 1.0)
            power *= e
        return p * u * total
    if y == 0.0:
        return p * u / alpha
    # y^a - p^a, over a, by the difference of the logarithms: right for alpha near 1
    ratio = np.expm1(a * np.log(y) - log_u) / a
    return float(u * (y * ratio - (y - p)) / alpha)


@compiled
def _dense_row(
    x: Rows, y: Rows, alpha: float, w: Rows, v: Rows, places: Rows, p: Rows, e: Rows, g: Rows
) -> float:
    kind, high = state(x)
    if kind == SPOILT or not alpha >= 1.0:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    a = alpha - 1.0
    if a == 0.0:
        return logistic_dense(x, y, e, g)
    if kind != GOOD:
        x, high = tops(x), 0.0
    s, count, pivot = _solve(x, high, a, -1, w, v, places, p)
    loss = 0.0
    for i in range(x.size):
        share, z = np.float64(y[i]), np.float64(x[i]) - high
        g[i] = -share if z > -np.inf else 0.0
        if share != 0.0:
            loss += _outside(share, a * z, s, a)
    for j in range(count):
        i = places[j]
        share = np.float64(y[i])
        g[i] = p[j] - share
        log_u = logarithm(w[j], v[j], s)
        loss += _bregman(share, p[j], base(w[j], v[j], s), log_u, a)
    share, top = np.float64(y[pivot]), np.log1p(-s) / a
    g[pivot] = (1.0 - share) + np.expm1(top)
    loss += _pivot_term(s, a) if share == 1.0 else _bregman(share, np.exp(top), 1.0 - s, a * top, a)
    return spoil(g, np.nan) if np.isnan(loss) else loss


@compiled
def _outside(y: float, height: float, s: float, a: float) -> float:
    """Term of a share y > 0 where the prediction is 0; 0 on the support, which comes after."""
    if height - s > -1.0:
        return 0.0
    return float(y * (np.exp(a * np.log(y)) / (1.0 + a) + (s - (1.0 + height))) / a)


@compiled
def loss_entmax_dense(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for label proportions; params: alpha."""
    n = x.shape[1]
    w, v, p, e = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    places = np.empty(n, np.int64)
    for r in range(x.shape[0]):
        alpha = own(params, r, 0)
        loss[r] = _dense_row(x[r], target[r], alpha, w, v, places, p, e, gradient[r])
