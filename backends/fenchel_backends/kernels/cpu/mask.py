"""Soft top-k mask: threshold, value and pullback.

``y_i = clip((x_i - tau) / l, 0, 1)^(q-1)`` with tau such that the row sums to k. The pullback is
``h * (g - <h, g> / sum h)`` with ``h_i = u_i^(q-2)`` on the free entries (arXiv 2302.01425).
"""

import numpy as np

from .conjugate import snapped
from .extrema import extrema, finite_extrema, share_infinities
from .jit import Rows, compiled, own, reducing
from .powers import power
from .roots import solve

__all__ = ["fused_topk_mask", "fused_topk_mask_vjp", "mask_threshold"]

_TINY = 1e-290  # stands for a temperature of 0
_CHUNK = 128


@reducing
def _between(x: Rows, t: float, scale: float) -> int:
    """Count entries that lie clearly on neither side of a hard threshold."""
    count = 0
    for i in range(x.size):
        u = (x[i] - t) * scale
        count += (u > 0.3) & (u < 0.7)
    return count


@compiled
def _gap_threshold(x: Rows, k: float, t: float, length: float) -> float:
    """Middle of the thresholds that make a hard mask of k entries, or t if there are none.

    Near such thresholds every entry lies clearly on one side; u^(q-1) may be far below rounding
    where u is not, so that t itself can sit beside their interval.
    """
    # a soft row has an entry between among the first few: a chunk of them is one vector pass
    for start in range(0, x.size, _CHUNK):
        if _between(x[start : start + _CHUNK], t, 1.0 / length) > 0:
            return t
    low, high, count = -np.inf, np.inf, 0
    for value in x:
        u = (value - t) / length
        if u < 0.5:
            low = max(low, np.float64(value))
        else:
            high = min(high, np.float64(value))
            count += 1
    if count != k or high - low < length or not np.isfinite(high - low):
        return t
    return 0.5 * (high - length + low)


@compiled
def mask_root(x: Rows, k: float, length: float, q: float) -> tuple[float, float, int]:
    """Threshold of a row, the correction below its resolution, and the number of +inf."""
    low, high = extrema(x)
    if np.isnan(low + k) or np.isnan(high + length):
        return np.nan, 0.0, 0
    if k <= 0.0:
        return np.inf, 0.0, 0
    below = above = 0
    if low == -np.inf or high == np.inf:
        low, high, below, above = finite_extrema(x)
    if below + above == x.size:
        return 0.0, 0.0, above
    length = max(length, _TINY)
    if k >= x.size - below:
        return low - length, 0.0, above
    if k <= above:
        return high, 0.0, above
    t, step = solve(x, k, length, q, False, low - length, high)
    if k == np.floor(k):
        gap = _gap_threshold(x, k, t, length)
        if gap != t:
            return gap, 0.0, above
    return t, step, above


@compiled
def mask_threshold(x: Rows, params: Rows, threshold: Rows) -> None:
    """Threshold of each row; params: k, temperature, q."""
    for r in range(x.shape[0]):
        k, length = own(params, r, 0), own(params, r, 1)
        q = snapped(own(params, r, 2), x.itemsize)
        threshold[r] = mask_root(x[r], k, length, q)[0]


@compiled
def _apply(x: Rows, t: float, step: float, length: float, q: float, y: Rows) -> None:
    scale = 1.0 / max(length, _TINY)
    if q == 2.0:
        for i in range(x.size):
            y[i] = min(max(((x[i] - t) - step) * scale, 0.0), 1.0)
    elif q == 3.0:
        for i in range(x.size):
            u = min(max(((x[i] - t) - step) * scale, 0.0), 1.0)
            y[i] = u * u
    elif q == 4.0:
        for i in range(x.size):
            u = min(max(((x[i] - t) - step) * scale, 0.0), 1.0)
            y[i] = u * u * u
    else:
        for i in range(x.size):
            u = min(max(((x[i] - t) - step) * scale, 0.0), 1.0)
            y[i] = power(u, q - 1.0) if (u > 0.0) & (u < 1.0) else u


@compiled
def fused_topk_mask(x: Rows, params: Rows, y: Rows, threshold: Rows) -> None:
    """Mask of each row; params: k, temperature, q."""
    for r in range(x.shape[0]):
        k, length = own(params, r, 0), own(params, r, 1)
        q = snapped(own(params, r, 2), x.itemsize)
        t, step, above = mask_root(x[r], k, length, q)
        threshold[r] = t
        if t == np.inf:
            y[r] = 0.0
        elif np.isnan(t):
            y[r] = np.nan
        else:
            _apply(x[r], t, step, length, q, y[r])
            if above > 0:
                share_infinities(x[r], k, y[r])


@reducing
def _moments(g: Rows, x: Rows, t: float, scale: float, q: float) -> tuple[float, float, float]:
    """Sums of h g, h and u^(q-1) over the row."""
    cross, weight, total = 0.0, 0.0, 0.0
    if q == 2.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            v = min(max(u, 0.0), 1.0)
            inside = 1.0 if (u > 0.0) & (u < 1.0) else 0.0
            cross += inside * g[i]
            weight += inside
            total += v
    elif q == 3.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            v = min(max(u, 0.0), 1.0)
            inside = v if u < 1.0 else 0.0
            cross += inside * g[i]
            weight += inside
            total += v * v
    elif q == 4.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            v = min(max(u, 0.0), 1.0)
            square = v * v
            inside = square if u < 1.0 else 0.0
            cross += inside * g[i]
            weight += inside
            total += square * v
    else:
        for i in range(x.size):
            u = (x[i] - t) * scale
            h = power(u, q - 2.0) if (u > 0.0) & (u < 1.0) else 0.0
            cross += h * g[i]
            weight += h
            total += 1.0 if u >= 1.0 else h * u
    return cross, weight, total


@compiled
def _pull(g: Rows, x: Rows, t: float, scale: float, q: float, mean: float, gx: Rows) -> None:
    slope = (q - 1.0) * scale
    if q == 2.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            gx[i] = slope * (g[i] - mean) if (u > 0.0) & (u < 1.0) else 0.0
    elif q == 3.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            gx[i] = slope * u * (g[i] - mean) if (u > 0.0) & (u < 1.0) else 0.0
    elif q == 4.0:
        for i in range(x.size):
            u = (x[i] - t) * scale
            gx[i] = slope * (u * u) * (g[i] - mean) if (u > 0.0) & (u < 1.0) else 0.0
    else:
        for i in range(x.size):
            u = (x[i] - t) * scale
            h = power(u, q - 2.0) if (u > 0.0) & (u < 1.0) else 0.0
            gx[i] = slope * h * (g[i] - mean)


@compiled
def fused_topk_mask_vjp(g: Rows, x: Rows, params: Rows, y: Rows, threshold: Rows, gx: Rows) -> None:
    """Pullback of the mask, row by row."""
    for r in range(x.shape[0]):
        k, length = own(params, r, 0), own(params, r, 1)
        q = snapped(own(params, r, 2), x.itemsize)
        scale, t = 1.0 / max(length, _TINY), float(threshold[r])
        if np.isnan(t):
            gx[r] = np.nan
            continue
        if t == np.inf:
            gx[r] = 0.0
            continue
        cross, weight, total = _moments(g[r], x[r], t, scale, q)
        if threshold.itemsize == 4 and weight > 0.0 and 1e-7 * abs(t) * scale > 1e-6:
            # the threshold was rounded to float32: one Newton correction restores the free set
            t += (total - k) / ((q - 1.0) * scale * weight)
            cross, weight, total = _moments(g[r], x[r], t, scale, q)
        _pull(g[r], x[r], t, scale, q, cross / weight if weight > 0.0 else 0.0, gx[r])
