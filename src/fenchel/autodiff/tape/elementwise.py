"""Elementwise functions: a factor for each argument.

Kinks: abs'(0) = 0, `maximum` and `minimum` give each of two equal arguments one half, `clip` has
derivative 1 on the closed interval, `hypot(0, 0)` has derivative 0, x**0 has derivative 0.
"""

from __future__ import annotations

from math import log
from typing import Any

from .rules import Binary, Composite, Elementwise, General, Rule, Unary
from .traced import Array, Traced, strip

__all__ = ["RULES"]

_LN2, _LN10 = log(2.0), log(10.0)


def _over(xp: Any, g: Array, radicand: Array) -> Array:
    return xp.divide(g, xp.sqrt(radicand))


def _one_minus_square(xp: Any, x: Array) -> Array:
    # (1 - x)(1 + x) keeps the digits that 1 - x**2 loses near x = 1.
    return xp.multiply(xp.subtract(1.0, x), xp.add(1.0, x))


def _one_plus_square(xp: Any, x: Array) -> Array:
    return xp.add(1.0, xp.multiply(x, x))


def _acosh(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return _over(xp, g, xp.multiply(xp.subtract(x, 1.0), xp.add(x, 1.0)))


def _square(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.multiply(x, 2.0))


def _reciprocal(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, xp.multiply(out, out)))


_UNARY = {
    "positive": lambda xp, g, x, out: g,
    "negative": lambda xp, g, x, out: xp.negative(g),
    "conj": lambda xp, g, x, out: xp.conj(g),
    "square": _square,
    "reciprocal": _reciprocal,
    "sqrt": lambda xp, g, x, out: xp.divide(xp.multiply(g, 0.5), out),
    "exp": lambda xp, g, x, out: xp.multiply(g, out),
    "expm1": lambda xp, g, x, out: xp.multiply(g, xp.add(out, 1.0)),
    "log": lambda xp, g, x, out: xp.divide(g, x),
    "log1p": lambda xp, g, x, out: xp.divide(g, xp.add(x, 1.0)),
    "log2": lambda xp, g, x, out: xp.divide(g, xp.multiply(x, _LN2)),
    "log10": lambda xp, g, x, out: xp.divide(g, xp.multiply(x, _LN10)),
    "sin": lambda xp, g, x, out: xp.multiply(g, xp.cos(x)),
    "cos": lambda xp, g, x, out: xp.negative(xp.multiply(g, xp.sin(x))),
    "tan": lambda xp, g, x, out: xp.multiply(g, _one_plus_square(xp, out)),
    "asin": lambda xp, g, x, out: _over(xp, g, _one_minus_square(xp, x)),
    "acos": lambda xp, g, x, out: xp.negative(_over(xp, g, _one_minus_square(xp, x))),
    "atan": lambda xp, g, x, out: xp.divide(g, _one_plus_square(xp, x)),
    "sinh": lambda xp, g, x, out: xp.multiply(g, xp.cosh(x)),
    "cosh": lambda xp, g, x, out: xp.multiply(g, xp.sinh(x)),
    # The rounding of the value hides what `_one_minus_square` would gain here.
    "tanh": lambda xp, g, x, out: xp.multiply(g, xp.subtract(1.0, xp.multiply(out, out))),
    "asinh": lambda xp, g, x, out: _over(xp, g, _one_plus_square(xp, x)),
    "acosh": _acosh,
    "atanh": lambda xp, g, x, out: xp.divide(g, _one_minus_square(xp, x)),
}


# -- two arguments -------------------------------------------------------------------------------


def _divide_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, xp.divide(out, y)))


def _pow_x(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    if isinstance(y, int | float):
        if y == 2:
            return xp.multiply(g, xp.multiply(x, 2.0))
        if y == 1:
            return g
        if y == 0:
            return xp.multiply(g, 0.0)
        return xp.multiply(g, xp.multiply(xp.pow(x, y - 1), float(y)))
    # At y = 0 the exponent y - 1 is replaced: 0 * 0**(-1) would be NaN.
    zero = xp.equal(y, 0)
    exponent = xp.where(zero, xp.ones_like(y), xp.subtract(y, xp.ones_like(y)))
    return xp.multiply(g, xp.multiply(y, xp.pow(x, exponent)))


def _pow_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    if isinstance(x, int | float):
        return xp.multiply(g, xp.multiply(out, log(x) if x else 0.0))
    safe = xp.where(xp.equal(x, 0), xp.ones_like(x), x)
    return xp.multiply(g, xp.multiply(out, xp.log(safe)))


def _squares(xp: Any, x: Array, y: Array) -> Array:
    return xp.add(xp.multiply(x, x), xp.multiply(y, y))


def _atan2_y(xp: Any, g: Array, y: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.divide(x, _squares(xp, y, x)))


def _atan2_x(xp: Any, g: Array, y: Array, x: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, xp.divide(y, _squares(xp, y, x))))


def _hypot(xp: Any, g: Array, x: Array, out: Array) -> Array:
    zero = xp.equal(out, 0)
    return xp.multiply(g, xp.divide(x, xp.where(zero, xp.ones_like(out), out)))


def _softmax_weight(xp: Any, g: Array, x: Array, out: Array) -> Array:
    # exp(x - out), with weight 0 where x is -inf, also where both arguments are.
    finite = xp.isfinite(out)
    shift = xp.subtract(x, xp.where(finite, out, xp.zeros_like(out)))
    return xp.multiply(g, xp.exp(shift))


def _winner(xp: Any, g: Array, wins: Array, ties: Array) -> Array:
    zero = xp.zeros_like(g)
    return xp.where(ties, xp.multiply(g, 0.5), xp.where(wins, g, zero))


def _copysign(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.multiply(g, xp.multiply(xp.sign(x), xp.sign(out)))


def _remainder_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, xp.floor_divide(x, y)))


def _no_effect(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.zeros_like(g)


_BINARY = {
    "add": (lambda xp, g, x, y, out: g, lambda xp, g, x, y, out: g),
    "subtract": (lambda xp, g, x, y, out: g, lambda xp, g, x, y, out: xp.negative(g)),
    "multiply": (
        lambda xp, g, x, y, out: xp.multiply(g, y),
        lambda xp, g, x, y, out: xp.multiply(g, x),
    ),
    "divide": (lambda xp, g, x, y, out: xp.divide(g, y), _divide_y),
    "pow": (_pow_x, _pow_y),
    "atan2": (_atan2_y, _atan2_x),
    "hypot": (
        lambda xp, g, x, y, out: _hypot(xp, g, x, out),
        lambda xp, g, x, y, out: _hypot(xp, g, y, out),
    ),
    "logaddexp": (
        lambda xp, g, x, y, out: _softmax_weight(xp, g, x, out),
        lambda xp, g, x, y, out: _softmax_weight(xp, g, y, out),
    ),
    "maximum": (
        lambda xp, g, x, y, out: _winner(xp, g, xp.greater(x, y), xp.equal(x, y)),
        lambda xp, g, x, y, out: _winner(xp, g, xp.greater(y, x), xp.equal(x, y)),
    ),
    "minimum": (
        lambda xp, g, x, y, out: _winner(xp, g, xp.less(x, y), xp.equal(x, y)),
        lambda xp, g, x, y, out: _winner(xp, g, xp.less(y, x), xp.equal(x, y)),
    ),
    "copysign": (_copysign, _no_effect),
    "remainder": (lambda xp, g, x, y, out: g, _remainder_y),
}


# -- functions of complex numbers that are not holomorphic: both directions ------------------------


def _is_complex(xp: Any, x: Array) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))


def _as_complex(xp: Any, re: Array, dtype: Any) -> Array:
    return xp.astype(re, dtype)


def _direction(xp: Any, x: Array, out: Array) -> Array:
    """conj(x) / |x|, zero at zero."""
    safe = xp.where(xp.equal(out, 0), xp.ones_like(out), out)
    return xp.divide(xp.conj(x), _as_complex(xp, safe, x.dtype))


def _abs_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    if _is_complex(xp, x):
        return xp.multiply(_as_complex(xp, g, x.dtype), _direction(xp, x, out))
    return xp.multiply(g, xp.sign(x))


def _abs_push(xp: Any, t: Array, out: Array, x: Array) -> Array:
    if _is_complex(xp, x):
        return xp.real(xp.multiply(t, _direction(xp, x, out)))
    return xp.multiply(t, xp.sign(x))


def _real_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    return xp.astype(g, x.dtype)


def _imag_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    return xp.multiply(xp.astype(g, x.dtype), -1j) if _is_complex(xp, x) else xp.zeros_like(x)


def _sign(xp: Any, x: Array) -> Array:
    if not _is_complex(xp, x):
        return xp.plain.sign(strip(x))
    size = xp.abs(x)
    safe = xp.where(xp.equal(size, 0), xp.ones_like(size), size)
    return xp.divide(x, _as_complex(xp, safe, x.dtype))


# -- three arguments -----------------------------------------------------------------------------


def _where_x(xp: Any, g: Array, out: Array, condition: Array, x: Array, y: Array) -> Array:
    return xp.where(condition, g, xp.zeros_like(g))


def _where_y(xp: Any, g: Array, out: Array, condition: Array, x: Array, y: Array) -> Array:
    return xp.where(condition, xp.zeros_like(g), g)


def _select(xp: Any, g: Array, condition: Array) -> Array:
    return xp.where(condition, g, xp.zeros_like(g))


def _clip_x(xp: Any, g: Array, out: Array, x: Array, min: Any = None, max: Any = None) -> Array:
    if min is not None:
        g = _select(xp, g, xp.greater_equal(x, min))
    if max is not None:
        g = _select(xp, g, xp.less_equal(x, max))
    return g


def _clip_min(xp: Any, g: Array, out: Array, x: Array, min: Any = None, max: Any = None) -> Array:
    g = _select(xp, g, xp.less(x, min))
    return g if max is None else _select(xp, g, xp.less_equal(min, max))


def _clip_max(xp: Any, g: Array, out: Array, x: Array, min: Any = None, max: Any = None) -> Array:
    # An upper bound below the lower one wins, as in the standard's min(max(x, lower), upper).
    above = xp.greater(x, max)
    return _select(xp, g, above if min is None else xp.logical_or(above, xp.greater(min, max)))


class _Clip(Elementwise):
    """`clip` takes its bounds by name, too."""

    def bind(self, space: Any, fn: Any) -> Any:
        """Return the traced function."""
        low_of, high_of = space.base.maximum, space.base.minimum

        def bounded(x: Array, low: Any, high: Any) -> Array:
            # Two calls cost a tenth of the compatible `clip` over NumPy.
            x = x if low is None else low_of(x, low)
            return x if high is None else high_of(x, high)

        positional = super().bind(space, bounded)

        def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
            if type(x) is Traced or type(min) is Traced or type(max) is Traced:
                return positional(x, min, max)
            return fn(x, min, max)

        return clip


RULES: dict[str, Rule] = {
    **{name: Unary(scale) for name, scale in _UNARY.items()},
    **{name: Binary(*scales) for name, scales in _BINARY.items()},
    "abs": General((_abs_pull,), (_abs_push,)),
    "real": General((_real_pull,), (lambda xp, t, out, x: xp.real(t),)),
    "imag": General((_imag_pull,), (lambda xp, t, out, x: xp.imag(t),)),
    "sign": Composite(_sign),
    "where": Elementwise(_where_x, _where_x, _where_y),
    "clip": _Clip(_clip_x, _clip_min, _clip_max),
}
