"""Soft top-k in magnitude: dual threshold, value and pullback.

With the threshold theta, an entry of magnitude s is off for ``s <= theta``, saturated for
``s >= theta + l theta^(p-1)`` and free between, with share ``((s - theta) / l)^(q-1) / theta``;
theta makes the shares sum to k (arXiv 2302.01425).
"""

import numpy as np

from .conjugate import conjugate
from .extrema import extrema
from .jit import Rows, compiled, own
from .powers import power
from .roots import ceiling, solve

__all__ = ["fused_topk_magnitude", "fused_topk_magnitude_vjp", "magnitude_threshold"]

_TINY = 1e-290  # stands for a temperature of 0
_HALVINGS = 60


@compiled
def _smallest_positive(s: Rows) -> tuple[float, int]:
    """Smallest entry above 0, and how many there are."""
    low, count = np.inf, 0
    for value in s:
        if value > 0.0:
            count += 1
            low = min(low, np.float64(value))
    return low, count


@compiled
def _gap_threshold(s: Rows, k: float, t: float, length: float, q: float) -> float:
    """A threshold that makes a hard selection of k entries, or t if there is none."""
    low, high, count, width = 0.0, np.inf, 0, length * t ** (1.0 / (q - 1.0))
    for value in s:
        u = (value - t) / width
        if 0.3 < u < 0.7:
            return t
        if u < 0.5:
            low = max(low, np.float64(value))
        else:
            high = min(high, np.float64(value))
            count += 1
    if count != k or not (ceiling(low, length, q, True) <= high < np.inf):
        return t
    # thresholds from low up to the root of ceiling = high are hard: take the middle
    inside, outside = low, high
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if ceiling(middle, length, q, True) <= high:
            inside = middle
        else:
            outside = middle
    return 0.5 * (low + inside)


@compiled
def magnitude_root(s: Rows, k: float, length: float, p: float) -> tuple[float, float]:
    """Dual threshold of a row of magnitudes, and the correction below its resolution."""
    low, high = extrema(s)
    if np.isnan(low + k) or np.isnan(high + length) or np.isnan(p):
        return np.nan, 0.0
    if k <= 0.0:
        return np.inf, 0.0
    count = s.size
    if low <= 0.0:
        low, count = _smallest_positive(s)
    if k >= count:
        return 0.0, 0.0
    length, q = max(length, _TINY), conjugate(p, s.itemsize)
    if high == np.inf:
        return _root_beside_infinities(s, k, length, q)
    # at this point every positive entry is saturated
    bottom = min(0.5 * low, (0.5 * low / length) ** (q - 1.0))
    t, step = solve(s, k, length, q, True, max(bottom, 1e-300), high)
    if k == np.floor(k):
        gap = _gap_threshold(s, k, t, length, q)
        if gap != t:
            return gap, 0.0
    return t, step


@compiled
def _root_beside_infinities(s: Rows, k: float, length: float, q: float) -> tuple[float, float]:
    """Infinite entries are saturated: the others share what is left."""
    finite = s[np.isfinite(s)]
    left = k - (s.size - finite.size)
    if finite.size == 0:
        return 1.0, 0.0
    low, high = extrema(finite)
    if left <= 0.0 or high <= 0.0:
        return max(high, 1.0), 0.0
    low, _ = _smallest_positive(finite)
    bottom = min(0.5 * low, (0.5 * low / length) ** (q - 1.0))
    return solve(finite, left, length, q, True, max(bottom, 1e-300), high)


@compiled
def magnitude_threshold(s: Rows, params: Rows, threshold: Rows) -> None:
    """Dual threshold of each row of magnitudes; params: k, temperature, p."""
    for r in range(s.shape[0]):
        k, length, p = own(params, r, 0), own(params, r, 1), own(params, r, 2)
        threshold[r] = magnitude_root(s[r], k, length, p)[0]


@compiled
def _saturated_value(s: float, length: float, q: float) -> float:
    """Root v of ``((s - v) / l)^(q-1) = v`` in [0, s]."""
    if q == 2.0:
        return s / (1.0 + length)
    low, high, v = 0.0, s, 0.5 * s
    for _ in range(_HALVINGS):
        u = (s - v) / length
        excess = u ** (q - 1.0) - v
        if excess > 0.0:
            low = v
        else:
            high = v
        step = excess / ((q - 1.0) / length * u ** (q - 2.0) + 1.0)
        v += step
        if not low < v < high:
            v = 0.5 * (low + high)
        elif abs(step) <= 1e-16 * v:
            break
    return v


@compiled
def _slope(u: float, q: float) -> float:
    """u^(q-2): the derivative of u^(q-1), but for a factor."""
    if q == 2.0:
        return 1.0
    if q == 3.0:
        return u
    return u * u if q == 4.0 else power(u, q - 2.0)


@compiled
def _apply(x: Rows, t: float, step: float, length: float, q: float, debias: bool, y: Rows) -> None:
    root = t + step
    if root <= 0.0:
        width, scale = 0.0, 0.0
    else:
        width, scale = length * root ** (1.0 / (q - 1.0)), 1.0 / length
    for i in range(x.size):
        s = np.float64(abs(x[i]))
        above = (s - t) - step
        if above <= 0.0 or s == 0.0:
            value = 0.0
        elif above >= width:
            value = s if debias else _saturated_value(s, length, q)
        else:
            u = above * scale
            raw = u * _slope(u, q)
            value = s - root + raw if debias else raw
        y[i] = -value if (x[i] < 0.0) & (value != 0.0) else value  # no zero of minus sign


@compiled
def fused_topk_magnitude(x: Rows, params: Rows, y: Rows, threshold: Rows) -> None:
    """Soft top-k in magnitude of each row; params: k, temperature, p, debias."""
    for r in range(x.shape[0]):
        k, length, p = own(params, r, 0), own(params, r, 1), own(params, r, 2)
        t, step = magnitude_root(np.abs(x[r]), k, length, p)
        threshold[r] = t
        if t == np.inf:
            y[r] = 0.0
        elif np.isnan(t):
            y[r] = np.nan
        else:
            debias = own(params, r, 3) != 0.0
            q = conjugate(p, x.itemsize)
            _apply(x[r], t, step, max(length, _TINY), q, debias, y[r])


@compiled
def _corrected(x: Rows, t: float, k: float, length: float, q: float) -> float:
    """One Newton correction of a threshold that was rounded to float32."""
    shares, slope, width = 0.0, 0.0, length * t ** (1.0 / (q - 1.0))
    for value in x:
        above = np.float64(abs(value)) - t
        if above >= width:
            shares += 1.0
        elif above > 0.0:
            u = above / length
            rise = _slope(u, q)
            shares += rise * u / t
            slope += (q - 1.0) / length * rise / t + rise * u / (t * t)
    return t + (shares - k) / slope if slope > 0.0 else t


@compiled
def _pull(
    g: Rows, x: Rows, t: float, k: float, length: float, q: float, debias: bool, gx: Rows
) -> None:
    width = length * t ** (1.0 / (q - 1.0)) if t > 0.0 else 0.0
    lead = (q - 1.0) / length
    cross, weight, left = 0.0, 0.0, k
    for i in range(x.size):
        above = np.float64(abs(x[i])) - t
        if above >= width:
            left -= 1.0
        elif above > 0.0:
            a = lead * _slope(above / length, q)
            signed = g[i] if x[i] > 0.0 else -g[i]
            cross += ((1.0 + a) if debias else a) * signed
            weight += a
    # a row with free entries has left > 0; one without never reads the mean
    mean = cross / (left + weight) if left + weight > 0.0 else 0.0
    for i in range(x.size):
        s = np.float64(abs(x[i]))
        above = s - t
        signed = np.float64(g[i]) if x[i] > 0.0 else -np.float64(g[i])
        if above <= 0.0 or s == 0.0:
            pulled = 0.0
        elif above >= width:
            pulled = signed
            if not debias:
                a = lead * ((s - _saturated_value(s, length, q)) / length) ** (q - 2.0)
                pulled *= a / (1.0 + a)
        else:
            a = lead * _slope(above / length, q)
            pulled = (1.0 + a) * signed - a * mean if debias else a * (signed - mean)
        gx[i] = pulled if x[i] > 0.0 else -pulled


@compiled
def fused_topk_magnitude_vjp(
    g: Rows, x: Rows, params: Rows, y: Rows, threshold: Rows, gx: Rows
) -> None:
    """Pullback of the soft top-k in magnitude, row by row."""
    for r in range(x.shape[0]):
        k, p, t = own(params, r, 0), own(params, r, 2), float(threshold[r])
        length, q = max(own(params, r, 1), _TINY), conjugate(p, x.itemsize)
        if np.isnan(t):
            gx[r] = np.nan
        elif t == np.inf:
            gx[r] = 0.0
        else:
            if threshold.itemsize == 4 and t > 0.0:
                t = _corrected(x[r], t, k, length, q)
            _pull(g[r], x[r], t, k, length, q, own(params, r, 3) != 0.0, gx[r])
