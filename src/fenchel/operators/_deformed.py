r"""Powers written so that they are smooth in the exponent: deformed logarithm, alpha-divergence.

log_alpha(u) = (u^(alpha-1) - 1)/(alpha - 1), log(u) at alpha = 1, and the generator of which it is
the derivative, f_alpha(u) = (u^alpha - 1 - alpha (u - 1))/(alpha (alpha - 1)). Nothing cancels near
alpha = 1 or u = 1, and `alpha` may be a live array.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "bregman_entries",
    "deformed",
    "expm1_ratio",
    "floor",
    "generator",
    "log1p_ratio",
    "log_alpha",
]

Array = Any

_SERIES = 0.02  # of expm1_ratio: 0.02^10/11! is far below the rounding of float64, derivatives too
_NEAR = 0.1  # of the series around u = 1: 0.1^14 relative to the first term
_TERMS = 14


def floor(xp: Any, x: Array) -> Array:
    """Return x, raised to the smallest normal number: logarithms stay finite; NaN passes."""
    tiny = float(xp.finfo(x.dtype).smallest_normal)
    return xp.where(x < tiny, xp.full_like(x, tiny), x)


def expm1_ratio(xp: Any, u: Array) -> Array:
    """Return (exp(u) - 1)/u, by its series around 0."""
    small = xp.abs(u) < _SERIES
    near = xp.where(small, u, xp.zeros_like(u))
    far = xp.where(small, xp.ones_like(u), u)
    series = xp.ones_like(u)
    for n in range(10, 1, -1):
        series = 1.0 + near * series / n
    return xp.where(small, series, xp.expm1(far) / far)


def log1p_ratio(xp: Any, u: Array) -> Array:
    """Return log(1 + u)/u, by its series around 0."""
    small = xp.abs(u) < _SERIES
    near = xp.where(small, u, xp.zeros_like(u))
    far = xp.where(small, xp.ones_like(u), u)
    series = xp.zeros_like(u)
    for n in range(10, 0, -1):
        series = 1.0 / n - near * series
    return xp.where(small, series, xp.log1p(far) / far)


def log_alpha(xp: Any, u: Array, alpha: Any) -> Array:
    """Return log_alpha(u) of u > 0."""
    if isinstance(alpha, float) and alpha == 2.0:
        return u - 1.0
    return deformed(xp, xp.log(u), alpha)


def deformed(xp: Any, log_u: Array, alpha: Any) -> Array:
    """Return log_alpha(u) given log(u)."""
    if isinstance(alpha, float) and alpha == 1.0:
        return log_u
    if isinstance(alpha, float) and alpha == float("inf"):
        return xp.zeros_like(log_u)  # of u <= 1
    return log_u * expm1_ratio(xp, (alpha - 1.0) * log_u)


def generator(xp: Any, u: Array, e: Array, alpha: Any) -> Array:
    """Return f_alpha(u) of 0 <= u <= 4 for alpha >= 1/2, given e = u - 1 too."""
    if isinstance(alpha, float) and alpha == 2.0:
        return e * e / 2.0
    near = xp.abs(e) < _NEAR
    small = xp.where(near, e, xp.zeros_like(e))
    series, coefficient = xp.zeros_like(e), xp.ones_like(e) * 0.5
    power = small * small
    for n in range(2, _TERMS):
        series = series + coefficient * power
        coefficient = coefficient * ((alpha - n) / (n + 1.0))
        power = power * small
    low, half = u < 0.5, xp.full_like(u, 0.5)
    middle = xp.where(near | low, xp.ones_like(e), e)
    log_u = xp.where(low, xp.log(floor(xp, xp.where(low, u, half))), xp.log1p(middle))
    far = (u * deformed(xp, log_u, alpha) - e) / alpha
    return xp.where(near, series, far)


def bregman_entries(xp: Any, y: Array, p: Array, alpha: Any) -> Array:
    """Return p^alpha f_alpha(y/p) >= 0 entry by entry, for alpha >= 1/2.

    The Bregman divergence of t^alpha/(alpha (alpha - 1)). Entries of p below the smallest normal
    number are raised to it, so that a y above 0 there costs a finite number.
    """
    if isinstance(alpha, float) and alpha == 2.0:
        return (y - p) ** 2 / 2.0
    if isinstance(alpha, float) and alpha == float("inf"):
        return xp.zeros_like(y)
    p = floor(xp, p)
    ones = xp.ones_like(p)
    close = ~(y >= 4.0 * p)  # NaN too: no logarithm of 0 there
    near = xp.where(close, y, p)
    u, e = near / p, (near - p) / p
    log_p = xp.log(p)
    inside = xp.exp(alpha * log_p) * generator(xp, u, e, alpha)
    # Far away y/p could overflow; there the plain difference cancels nothing.
    target, base = xp.where(close, ones, y), xp.where(close, ones, p)
    rise = log_alpha(xp, target, alpha) - log_alpha(xp, base, alpha)
    steepness = xp.exp((alpha - 1.0) * xp.where(close, xp.zeros_like(p), log_p))
    beyond = (target * rise - steepness * (target - base)) / alpha
    return xp.where(close, inside, beyond)
