"""Series of the error function, fitted to 40 digits and rounded once."""

from __future__ import annotations

from typing import Any

from .lookup import chebyshev

__all__ = ["erf_series", "scaled_erfc", "split_square"]

Array = Any

# erf(x) / x on [-1, 1], in the variable 2 x^2 - 1.
_ERF = (
    0.9754769393826541,
    -0.14226120510371365,
    0.010035582187599796,
    -0.0005768764699767485,
    2.741993125219606e-05,
    -1.1043175507344507e-06,
    3.8488755420345036e-08,
    -1.1808582533875466e-09,
    3.2334215826050907e-11,
    -7.991015947004549e-13,
    1.7990725113961456e-14,
    -3.718635487818693e-16,
    7.103599003714253e-18,
)

# (1 + 2x) exp(x^2) erfc(x) on [0, inf], in the variable (x - 15/4) / (x + 15/4).
_ERFCX = (
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
    -2.2370566594359995e-18,
    -2.187342944303018e-18,
)


def erf_series(x: Array) -> Array:
    """Return erf for |x| <= 1."""
    return x * chebyshev(2.0 * x * x - 1.0, _ERF)


def scaled_erfc(xp: Any, x: Array) -> Array:
    """Return exp(x^2) erfc(x) for x >= 0."""
    edge = xp.full_like(x, 1e30)
    finite = xp.minimum(x, edge)
    series = chebyshev((finite - 3.75) / (finite + 3.75), _ERFCX)
    return xp.where(
        x > 1e30, 0.5641895835477563 / xp.maximum(x, edge), series / (1.0 + 2.0 * finite)
    )


def split_square(xp: Any, x: Array, factor: float) -> Array:
    """Return exp(-factor x^2) with the relative accuracy of exp.

    x^2 - c^2 = (x - c)(x + c) with c a multiple of 1/16, whose square is exact, so that the
    rounding of x^2 is not blown up by the exponential.
    """
    x = xp.minimum(xp.abs(x), xp.full_like(x, 64.0))
    c = xp.round(16.0 * x) / 16.0
    return xp.exp(-factor * c * c) * xp.exp(-factor * (x - c) * (x + c))
