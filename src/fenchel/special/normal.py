"""The error function and the normal distribution function."""

from __future__ import annotations

from math import log
from typing import Any

from .error_function import erf_series, scaled_erfc, split_square
from .lookup import elementwise

__all__ = ["erf", "erfc", "erfcx", "log_ndtr", "ndtr", "ndtri"]

Array = Any

_ROOT_HALF = 0.5**0.5


def erf(x: Array, /) -> Array:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(erf(np.asarray(1.0))), 12)
    0.84270079295
    """
    return elementwise("erf", _erf, x)


def erfc(x: Array, /) -> Array:
    """Return 1 - erf(x), with full relative accuracy where it is small.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> f"{float(erfc(np.asarray(10.0))):.12e}"
    '2.088487583763e-45'
    """
    return elementwise("erfc", _erfc, x)


def erfcx(x: Array, /) -> Array:
    """Return exp(x^2) erfc(x), which decays as 1 / (sqrt(pi) x).

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`; inf where it overflows, below about -26 in float64.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(erfcx(np.asarray(100.0))), 12)
    0.005641613783
    """
    return elementwise("erfcx", _erfcx, x)


def ndtr(x: Array, /) -> Array:
    """Return the standard normal distribution function.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> float(ndtr(np.asarray(0.0)))
    0.5
    """
    return elementwise("ndtr", _ndtr, x)


def log_ndtr(x: Array, /) -> Array:
    """Return the logarithm of the standard normal distribution function.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`, with full relative accuracy in both tails.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(log_ndtr(np.asarray(-100.0))), 9)
    -5005.524208694
    """
    return elementwise("log_ndtr", _log_ndtr, x)


def ndtri(p: Array, /) -> Array:
    """Return the quantile of the standard normal distribution, the inverse of `ndtr`.

    Parameters
    ----------
    p
        Array of a real floating dtype, probabilities.

    Returns
    -------
    array
        Like `p`: -inf at 0, inf at 1, NaN outside of [0, 1].

    Raises
    ------
    TypeError
        If `p` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: of every order in (0, 1), on every library.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(ndtri(np.asarray(0.975))), 12)
    1.95996398454
    """
    return elementwise("ndtri", _ndtri, p)


# -- over the array API --------------------------------------------------------------------------


def _erf(xp: Any, x: Array) -> Array:
    size = xp.abs(x)
    small = size < 1.0
    near = erf_series(xp.where(small, x, 0.5 * xp.ones_like(x)))
    far = 1.0 - _upper_erfc(xp, size)
    return xp.where(small, near, xp.where(x < 0, -far, far))


def _erfc(xp: Any, x: Array) -> Array:
    small = xp.abs(x) < 0.5
    near = 1.0 - erf_series(xp.where(small, x, xp.zeros_like(x)))
    far = _upper_erfc(xp, xp.abs(x))
    return xp.where(small, near, xp.where(x < 0, 2.0 - far, far))


def _upper_erfc(xp: Any, size: Array) -> Array:
    """Return erfc for arguments >= 0; accurate from 0.5 on."""
    return scaled_erfc(xp, size) * split_square(xp, size, 1.0)


def _erfcx(xp: Any, x: Array) -> Array:
    # Not abs: its derivative at 0 is 0, where that of this smooth function is not.
    right = scaled_erfc(xp, xp.where(x < 0, -x, x))
    limit = log(float(xp.finfo(x.dtype).max) / 2.0) ** 0.5
    fits = x > -limit
    left = xp.where(fits & (x < 0), x, xp.zeros_like(x))
    grown = 2.0 / split_square(xp, left, 1.0) - right
    infinite = xp.full_like(x, float("inf"))
    return xp.where(x < 0, xp.where(fits, grown, infinite), right)


def _tail(xp: Any, size: Array) -> Array:
    """Return ndtr(-size) for size >= 0; accurate from 0.5 on."""
    return 0.5 * scaled_erfc(xp, size * _ROOT_HALF) * split_square(xp, size, 0.5)


def _ndtr(xp: Any, x: Array) -> Array:
    size = xp.abs(x)
    small = size < 0.5
    near = 0.5 + 0.5 * erf_series(xp.where(small, x, xp.zeros_like(x)) * _ROOT_HALF)
    tail = _tail(xp, size)
    return xp.where(small, near, xp.where(x < 0, tail, 1.0 - tail))


def _log_ndtr(xp: Any, x: Array) -> Array:
    low = x < -1.0
    # Squares must not overflow: from the root of the largest number on the result is -inf.
    limit = float(xp.finfo(x.dtype).max) ** 0.5
    size = xp.where(low, xp.minimum(-x, xp.full_like(x, limit)), xp.ones_like(x))
    left = xp.log(0.5 * scaled_erfc(xp, size * _ROOT_HALF)) - 0.5 * size * size
    left = xp.where(-x > limit, xp.full_like(x, -float("inf")), left)
    high = xp.where(low, xp.zeros_like(x), x)
    right = xp.log1p(-_ndtr(xp, -high))
    return xp.where(low, left, right)


# Abramowitz and Stegun 26.2.23: the tail quantile to 4.5e-4, where the Newton steps begin.
_TOP = (2.515517, 0.802853, 0.010328)
_BOTTOM = (1.0, 1.432788, 0.189269, 0.001308)


def _ndtri(xp: Any, p: Array) -> Array:
    inside = (p > 0) & (p < 1)
    q = xp.where(inside, p, 0.5 * xp.ones_like(p))
    lower = xp.where(q > 0.5, 1.0 - q, q)  # exact: q is above one half
    t = xp.sqrt(-2.0 * xp.log(lower))
    top = _TOP[0] + t * (_TOP[1] + t * _TOP[2])
    bottom = _BOTTOM[0] + t * (_BOTTOM[1] + t * (_BOTTOM[2] + t * _BOTTOM[3]))
    x = _newton_tail(xp, top / bottom - t, lower)
    x = xp.where(q > 0.5, -x, x)
    central = xp.abs(q - 0.5) < 0.25
    x = xp.where(central, _newton_centre(xp, xp.where(central, x, xp.zeros_like(x)), q - 0.5), x)
    edge = xp.where(p == 0, xp.full_like(p, -float("inf")), xp.full_like(p, float("nan")))
    edge = xp.where(p == 1, xp.full_like(p, float("inf")), edge)
    return xp.where(inside, x, edge)


def _newton_tail(xp: Any, x: Array, p: Array) -> Array:
    """Newton steps on log ndtr(x) = log p, for x <= 0: relative accuracy in the far tail."""
    log_p = xp.log(p)
    for _ in range(3):
        value = _log_ndtr(xp, x)
        x = x - (value - log_p) * xp.exp(value + 0.5 * x * x) * (2.0 * 3.141592653589793) ** 0.5
    return x


def _newton_centre(xp: Any, x: Array, excess: Array) -> Array:
    """Newton steps on ndtr(x) - 1/2 = excess: relative accuracy around the median."""
    for _ in range(3):
        value = 0.5 * erf_series(x * _ROOT_HALF)
        x = x - (value - excess) * xp.exp(0.5 * x * x) * (2.0 * 3.141592653589793) ** 0.5
    return x
