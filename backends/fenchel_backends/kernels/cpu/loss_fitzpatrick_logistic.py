"""Fitzpatrick logistic loss and its gradient.

For a class k the loss is F = omega(s - 1), omega the Wright function and s the log-odds against k;
the maximiser is 1/(1 + F) at k and F/(1 + F) softmax elsewhere. For label proportions the maximiser
is t_i = y_i / omega(lambda - x_i + log y_i), exp(x_i - lambda) where y_i = 0, lambda in
[lse, lse + 1] making it sum to 1; the loss is sum (t - y)^2 / t.
"""

import numpy as np

from .elementary import LOWEST64, exp64, log64
from .jit import Rows, compiled, inlined, reducing
from .loss_logistic import exponentials, scale
from .loss_window import EMPTY, GOOD, SPOILT, difference, factor_of, only_class, spoil, state, tops

__all__ = ["loss_fitzpatrick_logistic_dense", "loss_fitzpatrick_logistic_index"]

_PASSES = 30


@inlined
def _wright(z: float) -> float:
    """Return the omega > 0 with omega + log(omega) = z, by two Fritsch-Shafer-Crowley steps."""
    low = exp64(min(max(z, -40.0), 1.0))
    large = max(z, 1.0)
    logarithm = log64(large)
    guess = 0.567143290409784 + 0.361896256634889 * z + 0.0736778 * z * z
    guess = guess if z < 1.0 else large - logarithm + logarithm / large
    w = low * (1.0 - low * (1.0 - 1.5 * low)) if z < -2.0 else guess
    for _ in range(2):
        residual = z - w - log64(w)
        shifted = 1.0 + w
        q = 2.0 * shifted * (shifted + residual * (2.0 / 3.0))
        w *= 1.0 + residual / shifted * (q - residual) / (q - 2.0 * residual)
    tiny = exp64(max(z, LOWEST64))
    return w if z > -36.0 else (tiny if z > LOWEST64 else 0.0)


@compiled
def _odds(x: Rows, k: int, g: Rows) -> tuple[float, float]:
    """Fill g with exp(x - max x) but at k; return its sum, and how far x_k lies below the maximum.

    Rows with nothing to solve say so by a sum that is not positive: NaN for a spoilt row, 0 where
    no other class has a chance.
    """
    kind, high = state(x)
    if kind == SPOILT or not 0 <= k < x.size:
        return np.nan, 0.0
    if kind == EMPTY:
        return 0.0, 0.0
    if kind != GOOD:
        x, high = tops(x), 0.0
    rest = exponentials(x[:k], high, g[:k]) + exponentials(x[k + 1 :], high, g[k + 1 :])
    return rest, high - np.float64(x[k])


@reducing
def _omegas(rest: Rows, below: Rows, loss: Rows) -> None:
    """Fill `loss` with omega(s - 1) of several rows at once: one alone waits for its divisions."""
    for r in range(loss.size):
        total = rest[r]
        loss[r] = _wright(log64(total if total > 0.0 else 1.0) + below[r] - 1.0)


@compiled
def _finish_class(rest: float, below: float, omega: float, k: int, factor: float, g: Rows) -> float:
    """Turn the exponentials of a row into its gradient; return its loss."""
    if not rest > 0.0:
        return spoil(g, rest)
    if below == np.inf:
        scale(g, factor / rest)
        g[k] = 0.0
        return np.inf
    share = omega / (1.0 + omega)
    scale(g, factor * share / rest)
    g[k] = -share * factor
    return omega


@compiled
def _index_row(x: Rows, k: int, factor: float, g: Rows) -> float:
    rest, below = _odds(x, k, g)
    omega = _wright(np.log(rest) + below - 1.0) if rest > 0.0 else 0.0
    return _finish_class(rest, below, omega, k, factor, g)


_BLOCK = 64  # rows at a time,
_ENTRIES = 8192  # or as many as the cache keeps until they are scaled


@compiled
def loss_fitzpatrick_logistic_index(
    x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows
) -> None:
    """Loss and gradient of each row for a class; no params."""
    factor = factor_of(params, 0)
    block = max(1, min(_BLOCK, _ENTRIES // max(1, x.shape[1])))
    rest, below, omega = np.empty(block), np.empty(block), np.empty(block)
    for start in range(0, x.shape[0], block):
        count = min(block, x.shape[0] - start)
        for i in range(count):
            r = start + i
            rest[i], below[i] = _odds(x[r], target[r, 0], gradient[r])
        _omegas(rest[:count], below[:count], omega[:count])
        for i in range(count):
            r = start + i
            k = target[r, 0]
            loss[r] = _finish_class(rest[i], below[i], omega[i], k, factor, gradient[r])


@reducing
def _arguments(x: Rows, y: Rows, high: float, start: float, e: Rows, a: Rows) -> float:
    """Fill a with start - x + log y where y > 0; return the sum of e where y is 0."""
    rest = 0.0
    for i in range(x.size):
        share = np.float64(y[i])
        positive = share > 0.0
        height = (start - difference(x[i], high)) + log64(share if positive else 1.0)
        a[i] = height if positive else 0.0  # entries that are out would give 0 times NaN
        rest += 0.0 if positive else e[i]
    return rest


@reducing
def _sums(y: Rows, a: Rows, shift: float) -> tuple[float, float]:
    """Sum over y > 0 of t = y/omega, and of t^2/(t + y) = t/(1 + omega)."""
    total, slope = 0.0, 0.0
    for i in range(y.size):
        share = np.float64(y[i])
        omega = _wright(a[i] + shift)
        t = share / omega if share > 0.0 else 0.0
        total += t
        slope += t / (1.0 + omega)
    return total, slope


@compiled
def _shift(y: Rows, a: Rows, rest: float) -> float:
    """How far lambda lies above the log-sum: Newton rises to the root, which is at most 1."""
    shift = 0.0
    for _ in range(_PASSES):
        total, slope = _sums(y, a, shift)
        outside = rest * np.exp(-shift)
        step = (total + outside - 1.0) / (slope + outside)
        shift += step
        if not abs(step) > 1e-9:  # the next step would be its square
            break
    return shift


@reducing
def _finish(x: Rows, y: Rows, a: Rows, shift: float, e: Rows, factor: float, g: Rows) -> float:
    loss = 0.0
    for i in range(x.size):
        share = np.float64(y[i])
        omega = _wright(a[i] + shift)
        t = share / omega if share > 0.0 else e[i] * factor
        gap = 1.0 - omega if share > 0.0 else 1.0
        loss += t * gap * gap
        g[i] = t * gap
    return loss


@compiled
def _dense_row(x: Rows, y: Rows, e: Rows, a: Rows, g: Rows) -> float:
    k = only_class(y)
    if k >= 0:
        return _index_row(x, k, 1.0, g)
    kind, high = state(x)
    if kind == SPOILT:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    total = exponentials(x, high, e)
    impossible = False
    for i in range(x.size):
        if np.isnan(y[i]):
            return spoil(g, np.nan)
        impossible = impossible or (x[i] == -np.inf and y[i] > 0.0)
    if not impossible:
        return _solve(x, y, high, total, e, a, g)
    # The gradient is that of the entries that take part.
    _solve(x, _without_out(x, y), high, total, e, a, g)
    return np.inf


@compiled
def _without_out(x: Rows, y: Rows) -> Rows:
    """Return the target with 0 at entries that are out."""
    kept = np.empty_like(y)
    for i in range(y.size):
        kept[i] = 0.0 if x[i] == -np.inf else y[i]
    return kept


@compiled
def _solve(x: Rows, y: Rows, high: float, total: float, e: Rows, a: Rows, g: Rows) -> float:
    rest = _arguments(x, y, high, np.log(total), e, a) / total
    shift = _shift(y, a, rest)
    return _finish(x, y, a, shift, e, np.exp(-shift) / total, g)


@compiled
def loss_fitzpatrick_logistic_dense(
    x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows
) -> None:
    """Loss and gradient of each row for label proportions; no params."""
    e, a = np.empty(x.shape[1]), np.empty(x.shape[1])
    for r in range(x.shape[0]):
        loss[r] = _dense_row(x[r], target[r], e, a, gradient[r])
