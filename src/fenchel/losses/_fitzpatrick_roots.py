r"""The maximiser of the Fitzpatrick loss of an entropy, found on plain arrays.

For Tsallis' entropy with a = alpha - 1 in [0, 1) (Shannon's at a = 0) the maximiser t solves, with
phi'(t) = log_alpha(t),

    phi'(t_i) + (t_i - y_i) phi''(t_i) = theta_i - lambda,   sum_i t_i = 1.

Each t_i is a convex decreasing function of lambda, and log_alpha(sum t) is so too, so that Newton's
method on the latter from below is monotone.
"""

from __future__ import annotations

from typing import Any

from ..operators._deformed import deformed
from ..special import wright_omega

__all__ = ["maximiser", "slope_inverse"]

Array = Any

_OUTER = {1.0: 6, 1.5: 8}
_OUTER_GENERAL = 12
_INNER = 18


def maximiser(backend: Any, z: Array, y: Array, alpha: Any) -> tuple[Array, Array]:
    """Reference kernel: the maximiser of each row, and lambda (..., 1).

    `z` are scores (at most 0, -inf is out), `y` a target; rows that are all out give 0.
    """
    xp = backend.namespace
    valid = z > float("-inf")
    z, y = xp.where(valid, z, xp.zeros_like(z)), xp.where(valid, y, xp.zeros_like(y))
    # There one entry is 1, so that the sum is at least that.
    bound = xp.where(valid, z + y, xp.full_like(z, float("-inf")))
    low = xp.max(bound, axis=-1, keepdims=True) - 1.0
    empty = low == float("-inf")
    level = xp.where(empty, xp.zeros_like(low), low)
    if isinstance(alpha, float) and alpha == 1.0:  # the log-sum-exp is closer
        total = xp.sum(xp.where(valid, xp.exp(z), xp.zeros_like(z)), axis=-1, keepdims=True)
        start = xp.log(xp.where(empty, xp.ones_like(total), total)) - 1.0
        level = xp.maximum(level, start)
    steps = _OUTER.get(alpha, _OUTER_GENERAL) if isinstance(alpha, float) else _OUTER_GENERAL

    def body(_: Any, level: Array) -> Array:
        t = xp.where(valid, _entries(backend, z - level, y, alpha), xp.zeros_like(z))
        total = xp.sum(t, axis=-1, keepdims=True)
        slope = xp.sum(xp.where(t > 0, slope_inverse(xp, t, y, alpha), xp.zeros_like(t)),
                       axis=-1, keepdims=True)  # fmt: skip
        safe = xp.where(total > 0, total, xp.ones_like(total))
        log_total = xp.log(safe)
        moved = deformed(xp, log_total, alpha) * xp.exp((2.0 - alpha) * log_total)
        step = moved / xp.where(slope > 0, slope, xp.ones_like(slope))
        return level + xp.where(slope > 0, step, xp.zeros_like(step))

    level = backend.fori_loop(0, steps, body, level)
    t = xp.where(valid, _entries(backend, z - level, y, alpha), xp.zeros_like(z))
    return t, level


def slope_inverse(xp: Any, t: Array, y: Array, alpha: Any) -> Array:
    """Return -dt/dlambda = t^(3-alpha) / (alpha t + (2-alpha) y) for t > 0."""
    safe = xp.where(t > 0, t, xp.ones_like(t))
    share = safe / (alpha * safe + (2.0 - alpha) * y)
    if isinstance(alpha, float) and alpha == 1.0:
        return safe * share
    return xp.exp((2.0 - alpha) * xp.log(safe)) * share


def _entries(backend: Any, u: Array, y: Array, alpha: Any) -> Array:
    """Return the solution t of phi'(t) + (t - y) phi''(t) = u, entry by entry."""
    if isinstance(alpha, float) and alpha == 1.0:
        return _logistic_entries(backend.namespace, u, y)
    if isinstance(alpha, float) and alpha == 1.5:
        return _root_entries(backend.namespace, u, y)
    return _general_entries(backend, u, y, alpha)


def _logistic_entries(xp: Any, u: Array, y: Array) -> Array:
    """log t + 1 - y/t = u: with w = y/t, w + log w = log y + 1 - u."""
    on = y > float(xp.finfo(y.dtype).smallest_normal)
    safe = xp.where(on, y, xp.ones_like(y))
    ratio = wright_omega(xp.log(safe) + 1.0 - xp.where(on, u, xp.zeros_like(u)))
    tiny = ratio < float(xp.finfo(y.dtype).smallest_normal)
    far = on & xp.logical_not(tiny)  # not ~: torch without CUDA has none for fake tensors of a GPU
    return xp.where(far, safe / xp.where(far, ratio, xp.ones_like(ratio)), xp.exp(u - 1.0))


def _root_entries(xp: Any, u: Array, y: Array) -> Array:
    """alpha = 1.5: a quadratic equation in sqrt(t)."""
    c = 0.5 * u + 1.0
    root = xp.sqrt(c * c + 3.0 * y)
    below = root - xp.where(c < 0, c, xp.zeros_like(c))
    low = y / xp.where(below > 0, below, xp.ones_like(below))
    r = xp.where(c < 0, low, (c + root) / 3.0)
    return r * r


def _general_entries(backend: Any, u: Array, y: Array, alpha: Any) -> Array:
    """Newton's method in log t, within a bracket that closes."""
    xp = backend.namespace
    a, b = alpha - 1.0, 2.0 - alpha
    base = (1.0 + a * u) / alpha
    inside = base > 0
    free = xp.where(inside, _power(xp, u, alpha), xp.zeros_like(u))
    on = y > float(xp.finfo(y.dtype).smallest_normal)
    log_y = xp.log(xp.where(on, y, xp.ones_like(y)))
    # t lies between y and the link's p, log_alpha(p) = u; if p is far below (or 0), above the
    # point where the term in y alone is too large.
    gap = deformed(xp, log_y, alpha) + xp.exp(a * log_y) - u
    gap = xp.where(on & (gap > 0), gap, xp.ones_like(gap))
    least = (log_y - xp.log(gap)) / b
    support = 1.0 + a * u > 0
    log_p = _log_exp_alpha(xp, xp.where(support, u, xp.zeros_like(u)), alpha)
    log_p = xp.where(support, log_p, least)
    above = log_p >= log_y
    low = xp.where(above, log_y, xp.maximum(log_p, xp.where(above, log_y, least)))
    high = xp.where(above, log_p, log_y)

    def body(_: Any, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        v, low, high = state
        grown, shrunk = xp.exp(a * v), y * xp.exp(-b * v)
        f = deformed(xp, v, alpha) + grown - shrunk - u
        low, high = xp.where(f < 0, v, low), xp.where(f > 0, v, high)
        v = v - f / (alpha * grown + b * shrunk)
        middle = low + 0.5 * (high - low)
        return xp.where((v >= low) & (v <= high), v, middle), low, high

    v, _, _ = backend.fori_loop(0, _INNER, body, (low + 0.5 * (high - low), low, high))
    return xp.where(on, xp.exp(v), free)


def _log_exp_alpha(xp: Any, u: Array, alpha: Any) -> Array:
    """Return log exp_alpha(u) = log(1 + a u)/a where 1 + a u > 0; u at a = 0."""
    a = alpha - 1.0
    x = a * u
    small = xp.abs(x) < 1e-4
    near = xp.where(small, x, xp.zeros_like(x))
    series = 1.0 - near * (0.5 - near * (1.0 / 3.0 - near * (0.25 - 0.2 * near)))
    far = xp.where(small, xp.ones_like(x), x)
    return u * xp.where(small, series, xp.log1p(far) / far)


def _power(xp: Any, u: Array, alpha: Any) -> Array:
    """Return ((1 + a u)/alpha)^(1/a), exp(u - 1) at a = 0."""
    a = alpha - 1.0
    top = _log_exp_alpha(xp, xp.where(1.0 + a * u > 0, u, xp.zeros_like(u)), alpha)
    return xp.exp(top - _log_exp_alpha(xp, xp.ones_like(u), alpha))
