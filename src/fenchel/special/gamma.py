"""The gamma function: its logarithm and the derivatives of that."""

from __future__ import annotations

from math import factorial
from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of
from .lookup import chebyshev, elementwise

__all__ = ["digamma", "gammaln", "polygamma"]

Array = Any

_PI = 3.141592653589793
_INF, _NAN = float("inf"), float("nan")
# Numerators and denominators of B_2, B_4, ..., B_26.
_BERNOULLI = tuple(
    a / b
    for a, b in (
        (1, 6),
        (-1, 30),
        (1, 42),
        (-1, 30),
        (5, 66),
        (-691, 2730),
        (7, 6),
        (-3617, 510),
        (43867, 798),
        (-174611, 330),
        (854513, 138),
        (-236364091, 2730),
        (8553103, 6),
    )
)
# gammaln(x) / ((x - 1)(x - 2)) on [1, 3].
_LGAMMA = (
    0.44148902545501423,
    -0.11119580321752523,
    0.01951044826068884,
    -0.003922461463025264,
    0.0008478989895953857,
    -0.00019153855341365593,
    4.454470184975607e-05,
    -1.05728743735943e-05,
    2.5474336873408417e-06,
    -6.208535880776316e-07,
    1.5268677399071546e-07,
    -3.782637660291326e-08,
    9.428100823624284e-09,
    -2.361999702184645e-09,
    5.943541905817546e-10,
    -1.501312977072867e-10,
    3.8050196458110534e-11,
    -9.672485299656325e-12,
    2.465348198355661e-12,
    -6.298868140791711e-13,
    1.6128460030283787e-13,
    -4.137949206814042e-14,
    1.0635701227757898e-14,
    -2.7382420786652826e-15,
    7.060670507214892e-16,
    -1.8232177141662118e-16,
    4.714169006756272e-17,
    -1.2204107319639856e-17,
    3.1630451661790255e-18,
    -8.206746544166728e-19,
)

# digamma(x) / (x - root) on [1, 2]. The root is a sum of three numbers, the first exact in float32.
_ROOT = (1.4616321325302124, 1.2438149843418955e-08, 9.549995429965697e-17)
_DIGAMMA = (
    0.983570260441567,
    -0.2270640863346444,
    0.03336889902393011,
    -0.005320077271596548,
    0.0008788656937820505,
    -0.00014773492650606044,
    2.5060543468359146e-05,
    -4.2721034029993324e-06,
    7.302769272465923e-07,
    -1.2502886813559594e-07,
    2.1425009322359472e-08,
    -3.673295918565179e-09,
    6.299717236108931e-10,
    -1.080593028883266e-10,
    1.853735192053638e-11,
    -3.18023536582553e-12,
    5.456147570322795e-13,
    -9.360993131036438e-14,
    1.606064636295075e-14,
    -2.7555431377438815e-15,
    4.727736178601912e-16,
    -8.11148420346509e-17,
    1.391707769474154e-17,
    -2.3877901082188625e-18,
)


def gammaln(x: Array, /) -> Array:
    """Return the logarithm of the magnitude of the gamma function.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`; inf at 0 and the negative integers.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: `digamma` and `polygamma`, of every order away from the poles.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(gammaln(np.asarray(5.0))), 12)  # log 4!
    3.178053830348
    """
    return elementwise("gammaln", _gammaln, x)


def digamma(x: Array, /) -> Array:
    """Return the derivative of `gammaln`.

    Parameters
    ----------
    x
        Array of a real floating dtype.

    Returns
    -------
    array
        Like `x`; NaN at the negative integers.

    Raises
    ------
    TypeError
        If `x` is not of a real floating dtype.

    Notes
    -----
    *Derivatives*: `polygamma`, of every order away from the poles.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(digamma(np.asarray(1.0))), 12)  # minus Euler's constant
    -0.577215664902
    """
    return elementwise("digamma", _digamma, x)


def polygamma(n: int, x: Array, /) -> Array:
    """Return the derivative of order `n` of `digamma`.

    Parameters
    ----------
    n
        Order, a Python integer of at least 0.
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
    ValueError
        If `n` is negative.

    Notes
    -----
    Recurrence up to 16, asymptotic series from there, reflection below 0, on every library.
    *Derivatives*: of every order away from the poles.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(polygamma(1, np.asarray(1.0))), 12)  # pi^2 / 6
    1.644934066848
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"`n` must be an integer of at least 0; got {n!r}")
    if n == 0:
        return digamma(x)
    xp, info = backend_of(x).namespace, check_dtype("x", x)
    return narrow(xp, _polygamma(xp, n, widen(xp, x, info)), info, x.dtype)


# -- over the array API --------------------------------------------------------------------------


def _remainder(xp: Any, x: Array) -> Array:
    """Return x less the nearest integer, in [-1/2, 1/2]."""
    return x - xp.round(x)


def _gammaln(xp: Any, x: Array) -> Array:
    left = x <= 0
    value = _gammaln_right(xp, xp.where(left, 1.0 - x, x))
    part = xp.abs(_remainder(xp, xp.where(left & xp.isfinite(x), x, 0.5 * xp.ones_like(x))))
    pole = left & ((part == 0) | xp.isinf(x))
    sine = xp.sin(_PI * xp.where(pole, 0.5 * xp.ones_like(x), part))
    reflected = xp.log(_PI / sine) - xp.where(left & ~pole, value, xp.zeros_like(x))
    return xp.where(pole, xp.full_like(x, _INF), xp.where(left, reflected, value))


def _gammaln_right(xp: Any, x: Array) -> Array:
    """Return gammaln for x > 0."""
    one = xp.ones_like(x)
    small, large = x < 1.0, x >= 10.0
    middle = xp.where(large, one, x)
    # From 3 to 10: log of (x - 1) ... (x - m), plus the value at x - m in [2, 3).
    steps = xp.maximum(xp.floor(middle) - 2.0, xp.zeros_like(one))
    product = one
    for j in range(1, 8):
        product = product * xp.where(steps >= j, middle - float(j), one)
    u = xp.where(small, x + 1.0, middle - steps)
    v = xp.where(small, x, one)
    # The factors vanish at 1 and 2: they are taken from x itself, before it is shifted.
    factors = xp.where(small, v * (v - 1.0), (u - 1.0) * (u - 2.0))
    near = factors * chebyshev(u - 2.0, _LGAMMA) + xp.log(product) - xp.log(v)
    return xp.where(large, _stirling(xp, xp.where(large, x, 10.0 * one)), near)


def _stirling(xp: Any, x: Array) -> Array:
    """Return gammaln for x >= 10 by its asymptotic series."""
    largest = 2.556348e305 if x.dtype == xp.float64 else 4.085003e36  # overflow from there on
    y = xp.minimum(x, xp.full_like(x, largest))
    inverse = 1.0 / y
    square = inverse * inverse
    series = xp.zeros_like(y)
    for k in range(9, 0, -1):
        series = series * square + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    value = (y - 0.5) * (xp.log(y) - 1.0) + (0.9189385332046727 - 0.5) + series * inverse
    return xp.where(x > largest, xp.full_like(x, _INF), value)


def _digamma(xp: Any, x: Array) -> Array:
    left = x <= 0
    value = _digamma_right(xp, xp.where(left, 1.0 - x, x))
    part = _remainder(xp, xp.where(left & xp.isfinite(x), x, 0.25 * xp.ones_like(x)))
    pole = left & ((part == 0) | xp.isinf(x))
    tangent = xp.tan(_PI * xp.where(pole, 0.25 * xp.ones_like(x), part))
    y = xp.where(left, value - _PI / tangent, value)
    at_pole = xp.where(x == 0, xp.full_like(x, -_INF), xp.full_like(x, _NAN))
    return xp.where(pole, at_pole, y)


def _digamma_right(xp: Any, x: Array) -> Array:
    """Return digamma for x > 0."""
    one = xp.ones_like(x)
    small, middle = x < 1.0, x <= 2.0
    u = xp.where(middle, xp.where(small, x + 1.0, x), one)
    near = (((u - _ROOT[0]) - _ROOT[1]) - _ROOT[2]) * chebyshev(2.0 * u - 3.0, _DIGAMMA)
    near = near - xp.where(small, 1.0 / xp.where(small, x, one), xp.zeros_like(one))
    return xp.where(middle, near, _digamma_asymptotic(xp, xp.where(middle, 3.0 * one, x)))


def _digamma_asymptotic(xp: Any, x: Array) -> Array:
    """Return digamma for x >= 2."""
    shift = x < 10.0
    y = xp.where(shift, x + 8.0, x)
    steps = xp.where(shift, x, xp.ones_like(x))
    total = xp.zeros_like(y)
    for k in range(7, -1, -1):
        total = total + 1.0 / (steps + float(k))
    inverse = 1.0 / y
    square = inverse * inverse
    series = xp.zeros_like(y)
    for k in range(9, 0, -1):
        series = (series + _BERNOULLI[k - 1] / (2 * k)) * square
    value = xp.log(y) - 0.5 * inverse - series
    return xp.where(shift, value - total, value)


def _polygamma(xp: Any, n: int, x: Array) -> Array:
    left = x <= 0
    value = _polygamma_right(xp, n, xp.where(left, 1.0 - x, x))
    part = _remainder(xp, xp.where(left & xp.isfinite(x), x, 0.25 * xp.ones_like(x)))
    pole = left & ((part == 0) | xp.isinf(x))
    cotangent = 1.0 / xp.tan(_PI * xp.where(pole, 0.25 * xp.ones_like(x), part))
    slope = xp.zeros_like(x)
    for c in reversed(_cotangent_polynomial(n)):
        slope = cotangent * slope + float(c)
    reflected = (-1.0) ** n * value - _PI ** (n + 1) * slope
    at_pole = xp.full_like(x, _INF if n % 2 else _NAN)
    return xp.where(pole, at_pole, xp.where(left, reflected, value))


def _cotangent_polynomial(n: int) -> list[int]:
    """Coefficients, lowest first, of the n-th derivative of cot as a polynomial in cot."""
    p = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [-a - b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return p


def _polygamma_right(xp: Any, n: int, x: Array) -> Array:
    """Return polygamma for x > 0: Sum_k (-1)^(n+1) n! / (x + k)^(n+1)."""
    shift = x < 16.0
    y = xp.where(shift, x + 16.0, x)
    steps = xp.where(shift, x, xp.ones_like(x))
    # Live arrays stand on the left: a strict library refuses traced ones on the right.
    total = xp.zeros_like(y)
    for k in range(15, -1, -1):
        total = _power(1.0 / (steps + float(k)), n + 1) + total
    inverse = 1.0 / y
    square = inverse * inverse
    series = xp.zeros_like(y)
    for k in range(len(_BERNOULLI), 0, -1):
        factor = _BERNOULLI[k - 1] * factorial(2 * k + n - 1) / factorial(2 * k)
        series = square * (series + factor)
    value = _power(inverse, n) * (factorial(n - 1) + 0.5 * factorial(n) * inverse + series)
    return (-1.0) ** (n + 1) * (value + xp.where(shift, factorial(n) * total, xp.zeros_like(total)))


def _power(x: Array, n: int) -> Array:
    y = x
    for _ in range(n - 1):
        y = y * x
    return y
