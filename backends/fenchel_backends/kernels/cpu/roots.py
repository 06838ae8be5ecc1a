"""Root of the equation "the shares of a row sum to k", for the soft top-k operators.

With ``u_i = clip((x_i - t) / l, 0, cap)`` both operators have shares ``u_i^(q-1) / unit``:
the mask with cap = unit = 1, the magnitude with cap = t^(p-1), unit = t. The sum S(t) falls from
the number of entries to 0, so a safeguarded Newton iteration finds S(t) = k: a few vector passes
over the whole row, then, for rows with heavy tails, over the entries that may still be free inside
the bracket, whose number is halved by probing at a kink of one of them.
"""

from typing import Any

import numpy as np

from .jit import Rows, compiled, reducing
from .powers import power

__all__ = ["solve"]

_FULL_PASSES = 12
_NARROW_PASSES = 200
_RESOLUTION = 4.5e-16
_SAMPLE = 128
_LONG = 2048
_single: Any = np.float32
_COARSE_PASSES = 8


@reducing
def _linear_sums(x: Rows, t: float, scale: float, cap: float) -> tuple[float, float, float]:
    zero = cap - cap  # in the precision of the arguments
    total, free, slope = zero, zero, 0
    for i in range(x.size):
        u = (x[i] - t) * scale
        v = min(max(u, zero), cap)
        inside = v == u
        total += v
        free += v if inside else zero
        slope += inside
    return total, free, np.float64(slope)


@reducing
def _square_sums(x: Rows, t: float, scale: float, cap: float) -> tuple[float, float, float]:
    zero = cap - cap
    total, free, slope = zero, zero, zero
    for i in range(x.size):
        u = (x[i] - t) * scale
        v = min(max(u, zero), cap)
        w = v if v == u else zero
        total += v * v
        free += w * w
        slope += w
    return total, free, slope


@reducing
def _cube_sums(x: Rows, t: float, scale: float, cap: float) -> tuple[float, float, float]:
    zero = cap - cap
    total, free, slope = zero, zero, zero
    for i in range(x.size):
        u = (x[i] - t) * scale
        v = min(max(u, zero), cap)
        w = v if v == u else zero
        total += v * v * v
        free += w * w * w
        slope += w * w
    return total, free, slope


@reducing
def _power_sums(
    x: Rows, t: float, scale: float, cap: float, q: float
) -> tuple[float, float, float]:
    total, free, slope, top = 0.0, 0.0, 0.0, cap ** (q - 1.0)
    for i in range(x.size):
        u = (x[i] - t) * scale
        v = min(max(u, 0.0), cap)
        # of the two powers that are needed one is a product
        w = power(v, q - 2.0) if (u > 0.0) & (u < cap) else 0.0
        part = w * v
        total += top if u >= cap else part
        free += part
        slope += w
    return total, free, slope


@compiled
def _sums(x: Rows, t: float, length: float, cap: float, q: float) -> tuple[float, float, float]:
    """Sum of u^(q-1) over all entries and over the free ones; sum of u^(q-2) over the free ones."""
    scale = 1.0 / length
    if q == 2.0:
        return _linear_sums(x, t, scale, cap)
    if q == 3.0:
        return _square_sums(x, t, scale, cap)
    if q == 4.0:
        return _cube_sums(x, t, scale, cap)
    return _power_sums(x, t, scale, cap, q)


@compiled
def _residual(itemsize: int) -> float:
    """Excess, relative to k, at which to stop: a Newton correction is returned with the root."""
    return 1e-12 if itemsize == 8 else 1e-8


@compiled
def _power_step(excess: float, free: float, q: float) -> float:
    """Excess as seen through the (q-1)-th root of the free mass, which is closer to linear."""
    wanted = free - excess
    if q == 2.0 or wanted <= 0.0:
        return excess
    if abs(excess) < 2.0 * free:
        # the same to second order, without a power
        return excess / (1.0 - (q - 2.0) / (2.0 * (q - 1.0)) * (excess / free))
    return float((q - 1.0) * free * (1.0 - (wanted / free) ** (1.0 / (q - 1.0))))


@compiled
def _advance(
    x: Rows, base: float, k: float, length: float, q: float, magnitude: bool, t: float
) -> tuple[float, float]:
    """Excess S(t) - k, and the Newton step from t (not finite where nothing is free)."""
    if not magnitude:
        total, free, slope = _sums(x, t, length, 1.0, q)
        excess = base + total - k
        return excess, _power_step(excess, free, q) * length / ((q - 1.0) * slope)
    total, free, slope = _sums(x, t, length, t ** (1.0 / (q - 1.0)), q)
    excess = base + total / t - k
    # Newton in 1/t, in which S is piecewise linear for p = 2
    inverse = 1.0 / t - excess / ((q - 1.0) / length * slope * t + free)
    return excess, 1.0 / inverse - t


@compiled
def _middle(low: float, high: float, magnitude: bool) -> float:
    return float(np.sqrt(low) * np.sqrt(high) if magnitude else low + 0.5 * (high - low))


@compiled
def ceiling(t: float, length: float, q: float, magnitude: bool) -> float:
    """Entries at or above it are saturated when the threshold is t."""
    return float(t + length * (t ** (1.0 / (q - 1.0)) if magnitude else 1.0))


@compiled
def _keep_free(
    w: Rows, m: int, low: float, high: float, length: float, q: float, magnitude: bool
) -> tuple[int, int]:
    """Move the entries that may be free in the bracket to the front; count the saturated."""
    kept, saturated, top = 0, 0, ceiling(high, length, q, magnitude)
    for i in range(m):
        value = w[i]
        w[kept] = value
        saturated += value >= top
        kept += (value > low) & (value < top)
    return kept, saturated


@compiled
def _kink(w: Rows, turn: int, low: float, high: float, length: float, magnitude: bool) -> float:
    """A kink of S inside the bracket, picked by ``turn``; the middle where there is none."""
    m = w.size
    start = (turn * 7919) % max(m, 1)
    for j in range(m):
        value = w[(start + j) % m]
        if low < value < high:
            return float(value)
        if not magnitude and low < value - length < high:
            return float(value - length)
    return _middle(low, high, magnitude)


@compiled
def _solve_narrow(
    w: Rows, k: float, length: float, q: float, magnitude: bool, low: float, high: float
) -> tuple[float, float]:
    """Root in a bracket over candidates ``w``, which is overwritten."""
    m, base, t, enough = w.size, 0, _middle(low, high, magnitude), _residual(8) * k
    for turn in range(_NARROW_PASSES):
        m, saturated = _keep_free(w, m, low, high, length, q, magnitude)
        base += saturated
        excess, step = _advance(w[:m], np.float64(base), k, length, q, magnitude, t)
        if abs(excess) <= enough:
            return t, step if np.isfinite(step) else 0.0
        if excess > 0.0:
            low = t
        else:
            high = t
        if abs(step) <= _RESOLUTION * abs(t):
            return t, step
        if high - low <= _RESOLUTION * max(abs(low), abs(high)):
            break
        t += step
        if turn % 3 == 2 or not low < t < high:
            t = _kink(w[:m], turn, low, high, length, magnitude)
            if not low < t < high:
                break
    return t, 0.0


@compiled
def _solve_full(
    x: Rows,
    k: float,
    length: float,
    q: float,
    magnitude: bool,
    low: float,
    high: float,
    t: float,
    enough: float,
) -> tuple[float, float, float, float, bool]:
    """A few Newton passes: root, correction, bracket, and whether the root is found."""
    for _ in range(_FULL_PASSES):
        excess, step = _advance(x, 0.0, k, length, q, magnitude, t)
        if abs(excess) <= enough:
            return t, step if np.isfinite(step) else 0.0, low, high, True
        if excess > 0.0:
            low = t
        else:
            high = t
        if abs(step) <= _RESOLUTION * abs(t):
            return t, step, low, high, True
        t += step
        if not low < t < high:
            t = _middle(low, high, magnitude)
    return t, 0.0, low, high, False


@compiled
def _first_guess(
    x: Rows, k: float, length: float, q: float, magnitude: bool, low: float, high: float
) -> float:
    """The root of a sample of a long row, or the point where a uniform row would have it."""
    n = x.size
    guess = high - (high - low) * k / n
    if n >= _LONG and np.isfinite(x[0]):
        sample = x[:: n // _SAMPLE].copy()
        share = k * sample.size / n
        # as close as the sample is to the row
        enough = 0.1 * share
        found = _solve_full(sample, share, length, q, magnitude, low, high, guess, enough)
        guess = found[0] + found[1]
    return guess if low < guess < high else _middle(low, high, magnitude)


@compiled
def _coarse_guess(
    x: Rows, k: float, length: float, q: float, low: float, high: float, t: float
) -> float:
    """Newton's method for the mask in single precision, which has twice the lanes.

    Where its rounding misleads it, the answer is a bad guess and nothing worse.
    """
    scale, cap, share = _single(1.0 / length), _single(1.0), _single(k)
    for _ in range(_COARSE_PASSES):
        if q == 2.0:
            total, free, slope = _linear_sums(x, _single(t), scale, cap)
        elif q == 3.0:
            total, free, slope = _square_sums(x, _single(t), scale, cap)
        else:
            total, free, slope = _cube_sums(x, _single(t), scale, cap)
        excess = np.float64(total - share)
        if excess > 0.0:
            low = t
        else:
            high = t
        step = _power_step(excess, np.float64(free), q) * length / ((q - 1.0) * np.float64(slope))
        t += step
        if not low < t < high:
            t = _middle(low, high, False)
        elif abs(excess) <= 0.02 * k:
            break
    return t


@compiled
def _whole_guess(x: Rows, k: float, length: float, q: float, low: float, high: float) -> float:
    """The root of the mask for the nearest exponent with a fast loop, to three digits."""
    whole = min(max(np.round(q), 2.0), 4.0)
    t = _first_guess(x, k, length, whole, False, low, high)
    found = _solve_full(x, k, length, whole, False, low, high, t, 1e-3 * k)
    guess = found[0] + found[1]
    return guess if low < guess < high else t


@compiled
def solve(
    x: Rows, k: float, length: float, q: float, magnitude: bool, low: float, high: float
) -> tuple[float, float]:
    """Root t in (low, high) of S(t) = k, and a correction below its resolution.

    ``t + correction`` solves the equation better than any float does: a caller that forms
    ``(x - t) - correction`` keeps it.
    """
    if magnitude or q == 2.0 or q == 3.0 or q == 4.0:
        t = _first_guess(x, k, length, q, magnitude, low, high)
        if x.itemsize == 4 and not magnitude:
            t = _coarse_guess(x, k, length, q, low, high, t)
    else:
        t = _whole_guess(x, k, length, q, low, high)
    enough = _residual(x.itemsize) * k
    t, step, low, high, found = _solve_full(x, k, length, q, magnitude, low, high, t, enough)
    if not found:
        t, step = _solve_narrow(x.astype(np.float64), k, length, q, magnitude, low, high)
    return t, step
