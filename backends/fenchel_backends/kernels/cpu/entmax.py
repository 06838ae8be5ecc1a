"""Entmax: threshold, value and pullback.

``p_i = exp_alpha(x_i - t)`` with ``exp_alpha(z) = max(0, 1 + (alpha-1) z)^(1/(alpha-1))``. With
``a = alpha - 1``, ``c = 1/a`` and ``v = a (x - max x)`` the threshold is the root tau in [-1, 0) of
``||(v - tau)_+||_c = 1``: convex and falling, so that Newton from -1 rises to it.
"""

import numpy as np

from .extrema import extrema, share_infinities
from .jit import Rows, compiled, own, reducing
from .survivors import survivors

__all__ = ["entmax_threshold", "fused_entmax", "fused_entmax_vjp"]

_MAX_ITER = 100


@reducing
def _log_sum(x: Rows, pivot: float) -> float:
    total = 0.0
    for i in range(x.size):
        total += np.exp(x[i] - pivot)
    return float(np.log(total))


@reducing
def _sums(v: Rows, tau: float, c: float) -> tuple[float, float]:
    """Sums of (v - tau)_+^c and of (v - tau)_+^(c-1), relative to the largest term -tau."""
    total, slope, scale = 0.0, 0.0, -1.0 / tau
    if c == 1.0:
        for i in range(v.size):
            u = max((v[i] - tau) * scale, 0.0)
            total += u
            slope += 1.0 if u > 0.0 else 0.0
    elif c == 2.0:
        for i in range(v.size):
            u = max((v[i] - tau) * scale, 0.0)
            total += u * u
            slope += u
    else:
        for i in range(v.size):
            u = (v[i] - tau) * scale
            if u > 0.0:
                # u = 1 - v/tau: log1p keeps alpha near 1 exact
                power = np.exp((c - 1.0) * np.log1p(-v[i] / tau))
                total += power * u
                slope += power
    return total, slope


@compiled
def norm_root(v: Rows, c: float) -> float:
    """Root tau of the norm equation for shifted scores, whose maximum is 0."""
    low, high, tau = -1.0, 0.0, -1.0
    for _ in range(_MAX_ITER):
        total, slope = _sums(v, tau, c)
        norm = total ** (1.0 / c)
        excess = -tau * norm - 1.0
        if excess >= 0.0:
            low = tau
        else:
            high = tau
        step = excess / (norm / total * slope)
        if abs(step) <= 2e-16 * abs(tau):
            break
        moved = tau + step
        if not low <= moved < high:
            moved = 0.5 * (low + high)
        if moved == tau:
            break
        tau = moved
    return tau


@compiled
def entmax_root(x: Rows, alpha: float) -> tuple[float, float]:
    """Maximum of the row, and threshold relative to it: t = pivot + offset."""
    low, high = extrema(x)
    if np.isnan(low + alpha) or np.isnan(high):
        return np.nan, 0.0
    if high == -np.inf or high == np.inf:
        return -high, 0.0
    if alpha <= 1.0:
        return high, _log_sum(x, high)
    a = alpha - 1.0
    v = survivors(x, high, 1.0 / a)
    v *= a
    # exp_alpha(x - t) = (1 + v - a (t - max))^c: tau = a (t - max) - 1
    return high, (norm_root(v, 1.0 / a) + 1.0) / a


@compiled
def entmax_threshold(x: Rows, params: Rows, threshold: Rows) -> None:
    """Threshold of each row; params: alpha."""
    for r in range(x.shape[0]):
        pivot, offset = entmax_root(x[r], own(params, r, 0))
        threshold[r] = pivot + offset


@compiled
def _apply(x: Rows, pivot: float, offset: float, alpha: float, y: Rows) -> None:
    a = alpha - 1.0
    base = 1.0 - a * offset
    if a == 1.0:
        for i in range(x.size):
            y[i] = max(base + (x[i] - pivot), 0.0)
    elif a == 0.5:
        for i in range(x.size):
            u = max(base + 0.5 * (x[i] - pivot), 0.0)
            y[i] = u * u
    elif a <= 0.0:
        for i in range(x.size):
            y[i] = np.exp((x[i] - pivot) - offset)
    else:
        for i in range(x.size):
            z = a * ((x[i] - pivot) - offset)
            y[i] = np.exp(np.log1p(z) / a) if z > -1.0 else 0.0


@compiled
def fused_entmax(x: Rows, params: Rows, y: Rows, threshold: Rows) -> None:
    """Entmax of each row; params: alpha."""
    for r in range(x.shape[0]):
        alpha = own(params, r, 0)
        pivot, offset = entmax_root(x[r], alpha)
        threshold[r] = pivot + offset
        if np.isnan(pivot):
            y[r] = np.nan
        elif pivot == np.inf:
            y[r] = 0.0
        elif pivot == -np.inf:
            share_infinities(x[r], 1.0, y[r])
        else:
            _apply(x[r], pivot, offset, alpha, y[r])


@reducing
def _weighted_mean(g: Rows, y: Rows, power: float) -> float:
    """Mean of g under the weights y^power on the support."""
    cross, weight = 0.0, 0.0
    if power == 0.0:
        for i in range(y.size):
            s = 1.0 if y[i] > 0.0 else 0.0
            cross += s * g[i]
            weight += s
    elif power == 0.5:
        for i in range(y.size):
            s = np.sqrt(np.float64(y[i]))
            cross += s * g[i]
            weight += s
    else:
        for i in range(y.size):
            s = np.float64(y[i]) ** power if y[i] > 0.0 else 0.0
            cross += s * g[i]
            weight += s
    return cross / weight if weight > 0.0 else 0.0


@compiled
def _pull(g: Rows, y: Rows, power: float, mean: float, gx: Rows) -> None:
    if power == 0.0:
        for i in range(y.size):
            gx[i] = g[i] - mean if y[i] > 0.0 else 0.0
    elif power == 0.5:
        for i in range(y.size):
            gx[i] = np.sqrt(np.float64(y[i])) * (g[i] - mean)
    else:
        for i in range(y.size):
            gx[i] = np.float64(y[i]) ** power * (g[i] - mean) if y[i] > 0.0 else 0.0


@compiled
def fused_entmax_vjp(g: Rows, x: Rows, params: Rows, y: Rows, threshold: Rows, gx: Rows) -> None:
    """Pullback ``s * (g - <s, g> / sum s)`` with ``s = y^(2 - alpha)``, row by row."""
    for r in range(y.shape[0]):
        if np.isnan(y[r, 0]):
            gx[r] = np.nan
        elif threshold[r] == -np.inf:
            gx[r] = 0.0  # entries of +inf share the row
        else:
            power = 2.0 - max(own(params, r, 0), 1.0)
            _pull(g[r], y[r], power, _weighted_mean(g[r], y[r], power), gx[r])
