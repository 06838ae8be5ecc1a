"""Inverses of w exp(w) and w + log(w): a detached root, corrected with the live argument."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of

__all__ = ["lambertw", "wright_omega"]

Array = Any

_E = 2.718281828459045
# 1/e is the sum of three numbers, the first exact in float32.
_INVERSE_E = (0.3678794503211975, -9.149755175741348e-09, -1.2428753672788363e-17)
# w = -1 + p - p^2/3 + ... with p = sqrt(2 (e x + 1)), around the branch point x = -1/e.
_BRANCH = (
    -1.0,
    1.0,
    -1.0 / 3.0,
    11.0 / 72.0,
    -43.0 / 540.0,
    769.0 / 17280.0,
    -221.0 / 8505.0,
    680863.0 / 43545600.0,
    -1963.0 / 204120.0,
    226287557.0 / 37623398400.0,
)
_INF, _NAN = float("inf"), float("nan")


def lambertw(x: Array, /) -> Array:
    """Return the real principal branch of Lambert's function, w exp(w) = x with w >= -1.

    Parameters
    ----------
    x
        Array of a real floating dtype, at least -1/e.

    Returns
    -------
    array
        Like `x`; NaN below -1/e.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    Halley's method on detached data, then Newton corrections with the live argument; a series
    around the branch point. *Derivatives*: exact to order 3, on every library; infinite at -1/e.

    References
    ----------
    R. Corless, G. Gonnet, D. Hare, D. Jeffrey, D. Knuth, "On the Lambert W function", Advances in
    Computational Mathematics 5 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> round(float(lambertw(np.asarray(1.0))), 12)
    0.56714329041
    """
    backend, info = backend_of(x), check_dtype("x", x)
    xp = backend.namespace
    live = widen(xp, x, info)
    plain = backend.stop_gradient(live)
    gap = _branch_gap(xp.minimum(plain, xp.ones_like(plain)))
    # Close to the branch point corrections divide by a small difference: the series serves.
    edge = 1e-3 if info.eps < 1e-10 else 0.03
    inside = gap >= -4.0 * info.eps
    near = inside & (gap < edge)
    usual = (gap >= edge) & (plain < _INF)
    root = _lambertw_root(backend_of(plain).namespace, plain, usual)
    inner = xp.where(usual, live, xp.ones_like(live))
    for _ in range(2):
        # x exp(-w) - w rather than x - w exp(w): it does not overflow. Live arrays stand on the
        # left of every operator, as a strict library refuses traced ones on the right.
        root = (inner * xp.exp(-root) - root) / (1.0 + root) + root
    y = xp.where(near, _branch_series(xp, live, plain, near), root)
    outside = xp.where(plain < 0, xp.full_like(plain, _NAN), plain)  # NaN or inf
    y = xp.where(inside & (plain < _INF), y, outside)
    return narrow(xp, y, info, x.dtype)


def _branch_gap(x: Array) -> Array:
    """Return e x + 1 without cancellation, for x below about 1."""
    # The factors of two keep compilers from adding up the constants, which would undo the split.
    first = 2.0 * (x + _INVERSE_E[0])
    second = 2.0 * (first + 2.0 * _INVERSE_E[1])
    return (0.25 * _E) * (second + 4.0 * _INVERSE_E[2])


def _branch_series(xp: Any, x: Array, plain: Array, near: Array) -> Array:
    gap = _branch_gap(xp.where(near, x, xp.ones_like(x)))
    # -1/e itself is no floating number: what lies a rounding below it is moved up to it.
    below = _branch_gap(xp.where(near, plain, xp.ones_like(plain)))
    p = xp.sqrt(2.0 * (gap - xp.minimum(below, xp.zeros_like(below))))
    total = xp.zeros_like(p)
    for c in reversed(_BRANCH):
        total = p * total + c
    return total


def _lambertw_root(xp: Any, x: Array, usual: Array) -> Array:
    """Return the root by Halley's method, 1 where x is not usual."""
    x = xp.where(usual, x, xp.full_like(x, _E))
    low, high = x < -0.25, x > 3.0
    one = xp.ones_like(x)
    p = xp.sqrt(2.0 * _branch_gap(xp.where(low, x, -0.3 * one)))
    start = -1.0 + p * (1.0 + p * (-1.0 / 3.0 + p * 11.0 / 72.0))
    middle = xp.log1p(xp.where(low | high, one, x))
    middle = middle * (1.0 - xp.log1p(middle) / (2.0 + middle))
    log_x = xp.log(xp.where(high, x, 4.0 * one))
    far = log_x - xp.log(log_x) * (1.0 - 1.0 / log_x)
    w = xp.where(low, start, xp.where(high, far, middle))
    for _ in range(4):
        f = w - x * xp.exp(-w)
        w = w - f / ((w + 1.0) - (w + 2.0) * f / (2.0 * w + 2.0))
    return xp.where(usual, w, one)


def wright_omega(x: Array, /) -> Array:
    """Return the solution w > 0 of w + log(w) = x.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`; exp(x) far to the left, x - log(x) far to the right.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    Halley's method on detached data, then Newton corrections with the live argument.
    *Derivatives*: w / (1 + w); exact to order 3, on every library.

    References
    ----------
    R. Corless, D. Jeffrey, "The Wright omega function", AISC 2002.

    Examples
    --------
    >>> import numpy as np
    >>> float(wright_omega(np.asarray(1.0)))
    1.0
    """
    backend, info = backend_of(x), check_dtype("x", x)
    xp = backend.namespace
    live = widen(xp, x, info)
    plain = backend.stop_gradient(live)
    usual = xp.isfinite(plain)
    root = _omega_root(backend_of(plain).namespace, plain, usual)
    one = xp.ones_like(live)
    inner = xp.where(usual, live, one)
    left = usual & (plain <= 0)
    # Each branch is corrected in the form in which x does not swamp the difference.
    low, high = xp.where(left, root, one), xp.where(left, one, root)
    x_low, x_high = xp.where(left, inner, one), xp.where(left, one, inner)
    for _ in range(2):
        low = (xp.exp(x_low - low) - low) / (1.0 + low) + low
        high = (x_high - xp.log(high) - high) / (1.0 + 1.0 / high) + high
    ends = xp.where(plain < 0, xp.zeros_like(plain), plain)  # 0, inf or NaN
    y = xp.where(usual, xp.where(left, low, high), ends)
    return narrow(xp, y, info, x.dtype)


def _omega_root(xp: Any, x: Array, usual: Array) -> Array:
    """Return the root by Halley's method on u = log(w): u + exp(u) = x; 1 where not usual."""
    one = xp.ones_like(x)
    x = xp.where(usual, x, one)
    high = x > 1.0
    log_x = xp.log(xp.where(high, x, one))
    w = xp.where(high, x - log_x + log_x / xp.where(high, x, one), one)
    u = xp.where(high, xp.log(w), xp.where(x < -2.0, x, 0.5 * (x - 1.0)))
    for _ in range(4):
        grown = xp.exp(u)
        f, slope = grown + u - x, grown + 1.0
        u = u - f / (slope - 0.5 * f * (grown / slope))
    return xp.exp(u)
