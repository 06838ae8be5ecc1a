"""The equation of the sparse losses: sum over w of (w - s)_+^c + (1 - s)^c = 1, in s >= 0.

The term of the pivot stands apart, so that s keeps its digits where it is tiny. All iterations rise
from 0 to the root, and entries that fall behind are dropped from `w` and `places` as it rises.
"""

import numpy as np

from .elementary import LOWEST64, exp64, log64
from .jit import Rows, compiled, inlined, reducing

__all__ = ["base", "logarithm", "power_root", "root1", "root2"]

_MAX_ITER = 100


@reducing
def _sum(w: Rows, count: int) -> float:
    total = 0.0
    for j in range(count):
        total += w[j]
    return total


@compiled
def _drop(w: Rows, places: Rows, count: int, s: float) -> int:
    """Keep the entries above s; return their number."""
    kept = np.uint64(0)
    for j in range(count):
        value = w[j]
        w[kept] = value
        places[kept] = places[j]
        kept += np.uint64(1) if value > s else np.uint64(0)
    return int(np.int64(kept))


@compiled
def root1(w: Rows, places: Rows, count: int) -> tuple[float, int]:
    """Root for c = 1, and the size of the support without the pivot (Michelot's algorithm)."""
    total, before = _sum(w, count), -1
    s = total / (count + 1.0)
    while count != before:
        before, kept, total = count, np.uint64(0), 0.0
        for j in range(count):
            value = w[j]
            inside = value > s
            w[kept] = value
            places[kept] = places[j]
            kept += np.uint64(1) if inside else np.uint64(0)
            total += value if inside else 0.0
        count = int(np.int64(kept))
        s = total / (count + 1.0)
    return s, count


@reducing
def _sums(w: Rows, count: int, s: float) -> tuple[float, float, float]:
    """Sum of w - s, of its square, and the least of them; all are above s."""
    total, square, least = 0.0, 0.0, 1.0
    for j in range(count):
        u = w[j] - s
        total += u
        square += u * u
        least = u if u < least else least
    return total, square, least


@compiled
def root2(w: Rows, places: Rows, count: int, s: float) -> tuple[float, int]:
    """Root for c = 2, and the size of the support without the pivot; rises from a given s.

    Newton on the norm of the shares rises to the root; as soon as no entry lies between the iterate
    and the root of the quadratic of its support, that root is the answer.
    """
    for _ in range(_MAX_ITER):
        total, square, least = _sums(w, count, s)
        excess, slope = square - s * (2.0 - s), total + (1.0 - s)
        radicand = slope * slope - (count + 1.0) * excess
        if radicand >= 0.0:
            step = excess / (slope + np.sqrt(radicand))
            if step < least:
                return s + step, count
        norm = np.sqrt(1.0 + excess)
        step = excess / (norm + 1.0) * norm / slope
        if not step > 2e-16 * s:
            break
        s += step
        count = _drop(w, places, count, s)
    return s, count


@inlined
def base(w: float, v: float, s: float) -> float:
    """Return 1 + v - s, from w = 1 + v where that is small."""
    return 1.0 + (v - s) if v > -0.5 else w - s


@inlined
def logarithm(w: float, v: float, s: float) -> float:
    """Return log(1 + v - s)."""
    u, t = base(w, v, s), v - s
    rounded = u - 1.0
    whole = log64(max(u, 1e-300))
    # what 1 + t has lost matters to a large power
    return float(whole * (t / rounded) if v > -0.5 and rounded != 0.0 else whole)


@reducing
def _powers(w: Rows, v: Rows, count: int, s: float, c: float, p: Rows) -> tuple[float, float]:
    """Shares p = (1 + v - s)_+^c; their sum, and the sum of the (1 + v - s)_+^(c - 1)."""
    total, slope = 0.0, 0.0
    for j in range(count):
        u = base(w[j], v[j], s)
        exponent = c * logarithm(w[j], v[j], s)
        power = exp64(max(exponent, LOWEST64))
        power = power if u > 0.0 and exponent > LOWEST64 else 0.0
        p[j] = power
        total += power
        slope += power / u if u > 0.0 else 0.0
    return total, slope


@compiled
def power_root(w: Rows, v: Rows, places: Rows, count: int, c: float, p: Rows) -> tuple[float, int]:
    """Root for any c >= 1, with v = w - 1; fills the shares p of the support."""
    s = 0.0
    for _ in range(_MAX_ITER):
        total, slope = _powers(w, v, count, s, c, p)
        top = np.log1p(-s)
        excess = total + np.expm1(c * top)
        slope += np.exp((c - 1.0) * top)
        # Newton on the norm, (1 + excess)^(1/c) - 1
        step = np.expm1(np.log1p(excess) / c) * (1.0 + excess) ** (1.0 - 1.0 / c) / slope
        if not step > 2e-16 * s:
            break
        s = min(s + step, 1.0 - 2.0**-53)
        kept = 0
        for j in range(count):
            w[kept], v[kept], places[kept] = w[j], v[j], places[j]
            kept += base(w[j], v[j], s) > 0.0
        count = kept
    return s, count
