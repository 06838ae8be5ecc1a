"""Logistic loss and its gradient, softmax(x) - y, in two passes over a row.

For a class k the loss is log(1 + sum over the others of exp(x_j - x_k)); the others are summed by
themselves, so that nothing cancels when they are tiny. For label proportions it is the divergence
sum y log(y/p) - y + p, every term of which is at least 0.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .elementary import LOWEST32, LOWEST64, exp32, exp64, log64
from .jit import Rows, compiled, inlined, reducing
from .loss_window import EMPTY, GOOD, SPOILT, difference, factor_of, only_class, spoil, state, tops

__all__ = [
    "dense_row",
    "divergence",
    "exponentials",
    "index_row",
    "loss_logistic_dense",
    "loss_logistic_index",
    "scale",
]

_CHUNK = 1024  # single-precision partial sums stay this short


@reducing
def _exp_sum32(x: Rows, shift: float, e: Rows) -> Any:
    total, top = np.float32(0.0), np.float32(shift)
    for i in range(x.size):
        z = x[i] - top
        value = exp32(LOWEST32 if z < LOWEST32 else z)
        value = np.float32(0.0) if z < LOWEST32 else value
        e[i] = value
        total += value
    return total


@reducing
def _exp_sum64(x: Rows, shift: float, e: Rows) -> float:
    total = 0.0
    for i in range(x.size):
        z = np.float64(x[i]) - shift
        value = exp64(LOWEST64 if z < LOWEST64 else z)
        value = 0.0 if z < LOWEST64 else value
        e[i] = value
        total += value
    return total


def _exp_sum(x: Rows, shift: float, e: Rows) -> float:
    """Fill e with exp(x - shift) in its precision; return the sum."""
    return float(np.sum(np.exp(x - shift, out=e)))


@overload(_exp_sum, strict=False)
def _compiled_exp_sum(x: Any, shift: Any, e: Any) -> Any:
    if x.dtype == types.float32 and e.dtype == types.float32:
        return lambda x, shift, e: _exp_sum32(x, shift, e)
    return lambda x, shift, e: _exp_sum64(x, shift, e)


@compiled
def exponentials(x: Rows, shift: float, e: Rows) -> float:
    """Fill e with exp(x - shift), -inf giving 0; return the sum in double precision."""
    total = 0.0
    for start in range(0, x.size, _CHUNK):
        stop = min(x.size, start + _CHUNK)
        total += np.float64(_exp_sum(x[start:stop], shift, e[start:stop]))
    return total


@compiled
def scale(g: Rows, factor: float) -> None:
    """Multiply a row in its own precision."""
    own = np.empty(1, g.dtype)
    own[0] = factor
    multiplier = own[0]
    for i in range(g.size):
        g[i] *= multiplier


@compiled
def index_row(x: Rows, k: int, factor: float, g: Rows) -> float:
    """Loss of a class for one row; fills the gradient, times `factor`."""
    kind, high = state(x)
    if kind == SPOILT or not 0 <= k < x.size:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    rest = exponentials(x[:k], high, g[:k]) + exponentials(x[k + 1 :], high, g[k + 1 :])
    below = high - np.float64(x[k])
    total = rest + np.exp(-below)
    scale(g, factor / total)
    g[k] = -rest / total * factor if below < np.inf else 0.0
    return float(below + np.log(total) if below > 0.0 else np.log1p(rest))


@compiled
def loss_logistic_index(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for a class; no params."""
    factor = factor_of(params, 0)
    for r in range(x.shape[0]):
        loss[r] = index_row(x[r], target[r, 0], factor, gradient[r])


_TINY = 2.3e-308


@inlined
def divergence(y: float, p: float, log_p: float) -> float:
    """Return y log(y/p) - y + p for y >= 0, p >= 0, from log p where p may be 0."""
    total = y + p
    u = (y - p) / max(total, _TINY)
    z = u * u
    # atanh(u) = u + u^3 b(u^2) turns the difference into a square times what is of size 1
    b = 0.06543453943982513 * z + 0.06634373097798298
    b = (b * z + 0.07693120354484832) * z + 0.09090897810816391
    b = (b * z + 0.11111111195943532) * z + 0.14285714285401424
    b = (b * z + 0.2000000000000044) * z + 0.3333333333333333
    near = total * z * (1.0 + u * (1.0 + u) * b)
    far = y * (log64(max(y, _TINY)) - log_p) - (y - p)
    return near if z < 0.029 else (far if y > 0.0 else p - y)


@reducing
def _dense_pass(x: Rows, y: Rows, high: float, total: float, e: Rows, g: Rows) -> float:
    loss, inverse, log_total = 0.0, 1.0 / total, np.log(total)
    for i in range(x.size):
        share, p, z = np.float64(y[i]), e[i] * inverse, difference(x[i], high)
        loss += divergence(share, p, z - log_total)
        g[i] = p - share if z > -np.inf else 0.0
    return loss


@compiled
def dense_row(x: Rows, y: Rows, e: Rows, g: Rows) -> float:
    """Loss of label proportions y for one row; fills the gradient."""
    k = only_class(y)
    if k >= 0:
        return index_row(x, k, 1.0, g)
    kind, high = state(x)
    if kind == SPOILT:
        return spoil(g, np.nan)
    if kind == EMPTY:
        return spoil(g, 0.0)
    if kind != GOOD:
        x, high = tops(x), 0.0
    loss = _dense_pass(x, y, high, exponentials(x, high, e), e, g)
    return spoil(g, np.nan) if np.isnan(loss) else loss


@compiled
def loss_logistic_dense(x: Rows, target: Rows, params: Rows, loss: Rows, gradient: Rows) -> None:
    """Loss and gradient of each row for label proportions; no params."""
    e = np.empty(x.shape[1])
    for r in range(x.shape[0]):
        loss[r] = dense_row(x[r], target[r], e, gradient[r])
