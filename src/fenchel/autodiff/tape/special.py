"""Special functions: derivative rules by the names of `scipy.special`.

The base library computes, or `fenchel.special` where it has no such function. The derivative of one
may need another (`gammaln` needs `digamma`), which rules find as `xp.special.digamma`.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any, NoReturn

from ... import special as ours
from .rules import Binary, Rule, Unary
from .traced import Array

__all__ = ["PlainSpecial", "TracedSpecial"]

# Computed over the array API where the base library has no such function.
_OURS = {name: getattr(ours, name) for name in ours.__all__}
_TWO_OVER_ROOT_PI = 2.0 / sqrt(pi)
_LOG_ROOT_TWO_PI = 0.5 * log(2.0 * pi)


class PlainSpecial:
    """Special functions of the base library, and ours where it has none."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> Any:
        value = self.backend.special(name) or _OURS.get(name)
        if value is None:
            raise TypeError(f"{self.backend.name} has no special function {name!r}")
        self.__dict__[name] = value
        return value


class TracedSpecial:
    """Special functions for traced arrays."""

    def __init__(self, space: Any, plain: PlainSpecial) -> None:
        self.space = space
        self.plain = plain

    def __getattr__(self, name: str) -> Any:
        rule = _RULES.get(name)
        if rule is None:
            raise TypeError(f"special function {name!r} has no derivative rule")
        value = rule.bind(self.space, getattr(self.plain, name))
        self.__dict__[name] = value
        return value

    def find(self, name: str) -> Any:
        """Return the function, None if the base library or the tape does not have it."""
        known = name in _OURS or self.plain.backend.special(name) is not None
        return getattr(self, name) if known and name in _RULES else None


def _gaussian(xp: Any, x: Array, shift: Array | float = 0.0) -> Array:
    """exp(-x**2 - shift)."""
    return xp.exp(xp.negative(xp.add(xp.multiply(x, x), shift)))


def _normal_density(xp: Any, x: Array) -> Array:
    half_square = xp.multiply(xp.multiply(x, x), 0.5)
    return xp.exp(xp.negative(xp.add(half_square, _LOG_ROOT_TWO_PI)))


def _erfcx(xp: Any, g: Array, x: Array, out: Array) -> Array:
    slope = xp.subtract(xp.multiply(xp.multiply(x, out), 2.0), _TWO_OVER_ROOT_PI)
    return xp.multiply(g, slope)


def _erfinv(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.multiply(xp.exp(xp.multiply(out, out)), 1.0 / _TWO_OVER_ROOT_PI))


def _log_ndtr(xp: Any, g: Array, x: Array, out: Array) -> Array:
    # The density over the mass, in logarithms: both vanish far to the left.
    half_square = xp.multiply(xp.multiply(x, x), 0.5)
    exponent = xp.negative(xp.add(xp.add(half_square, out), _LOG_ROOT_TWO_PI))
    return xp.multiply(g, xp.exp(exponent))


def _ndtri(xp: Any, g: Array, x: Array, out: Array) -> Array:
    exponent = xp.add(xp.multiply(xp.multiply(out, out), 0.5), _LOG_ROOT_TWO_PI)
    return xp.multiply(g, xp.exp(exponent))


def _expit(xp: Any, g: Array, x: Array, out: Array) -> Array:
    # expit(-x) and not 1 - out, which loses all digits for large x.
    return xp.multiply(g, xp.multiply(out, xp.special.expit(xp.negative(x))))


def _logit(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.divide(g, xp.multiply(x, xp.subtract(1.0, x)))


def _entr(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, xp.add(xp.log(x), 1.0)))


def _i0e(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.subtract(xp.special.i1e(x), xp.multiply(xp.sign(x), out)))


def _over_argument(xp: Any, out: Array, x: Array) -> Array:
    """out / x for a function with slope 1/2 at 0."""
    zero = xp.equal(x, 0)
    safe = xp.where(zero, xp.ones_like(x), x)
    return xp.where(zero, xp.full_like(x, 0.5), xp.divide(out, safe))


def _i1(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.subtract(xp.special.i0(x), _over_argument(xp, out, x)))


def _i1e(xp: Any, g: Array, x: Array, out: Array) -> Array:
    slope = xp.subtract(xp.special.i0e(x), _over_argument(xp, out, x))
    return xp.multiply(g, xp.subtract(slope, xp.multiply(xp.sign(x), out)))


def _wrightomega(xp: Any, g: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.divide(out, xp.add(out, 1.0)))


_UNARY = {
    "erf": lambda xp, g, x, out: xp.multiply(g, xp.multiply(_gaussian(xp, x), _TWO_OVER_ROOT_PI)),
    "erfc": lambda xp, g, x, out: xp.multiply(g, xp.multiply(_gaussian(xp, x), -_TWO_OVER_ROOT_PI)),
    "erfcx": _erfcx,
    "erfinv": _erfinv,
    "erfcinv": lambda xp, g, x, out: xp.negative(_erfinv(xp, g, x, out)),
    "ndtr": lambda xp, g, x, out: xp.multiply(g, _normal_density(xp, x)),
    "log_ndtr": _log_ndtr,
    "ndtri": _ndtri,
    "expit": _expit,
    "log_expit": lambda xp, g, x, out: xp.multiply(g, xp.special.expit(xp.negative(x))),
    "logit": _logit,
    "gamma": lambda xp, g, x, out: xp.multiply(g, xp.multiply(out, xp.special.digamma(x))),
    "gammaln": lambda xp, g, x, out: xp.multiply(g, xp.special.digamma(x)),
    "digamma": lambda xp, g, x, out: xp.multiply(g, xp.special.polygamma(1, x)),
    "psi": lambda xp, g, x, out: xp.multiply(g, xp.special.polygamma(1, x)),
    "entr": _entr,
    "i0": lambda xp, g, x, out: xp.multiply(g, xp.special.i1(x)),
    "i0e": _i0e,
    "i1": _i1,
    "i1e": _i1e,
    "wrightomega": _wrightomega,
}


# -- two arguments -------------------------------------------------------------------------------


def _no_rule(xp: Any, g: Array, x: Array, y: Array, out: Array) -> NoReturn:
    raise TypeError(
        "the special function has no derivative rule in its order; "
        "apply `stop_gradient` to the order if a constant is meant"
    )


def _safe_ratio(xp: Any, x: Array, y: Array) -> Array:
    """x / y, zero where x is."""
    zero = xp.equal(x, 0)
    return xp.where(zero, xp.zeros_like(y), xp.divide(x, xp.where(zero, xp.ones_like(y), y)))


def _xlogy_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.multiply(g, _safe_ratio(xp, x, y))


def _xlog1py_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.multiply(g, _safe_ratio(xp, x, xp.add(y, 1.0)))


def _polygamma(xp: Any, g: Array, n: Array, x: Array, out: Array) -> Array:
    return xp.multiply(g, xp.special.polygamma(n + 1, x))


def _gammainc(xp: Any, g: Array, a: Array, x: Array, out: Array) -> Array:
    power = xp.multiply(xp.log(x), xp.subtract(a, 1.0))
    return xp.multiply(g, xp.exp(xp.subtract(xp.subtract(power, x), xp.special.gammaln(a))))


def _rel_entr_x(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.multiply(g, xp.add(xp.log(xp.divide(x, y)), 1.0))


def _rel_entr_y(xp: Any, g: Array, x: Array, y: Array, out: Array) -> Array:
    return xp.negative(xp.multiply(g, _safe_ratio(xp, x, y)))


def _betaln(xp: Any, g: Array, x: Array, y: Array) -> Array:
    total = xp.special.digamma(xp.add(x, y))
    return xp.multiply(g, xp.subtract(xp.special.digamma(x), total))


_BINARY = {
    "xlogy": (lambda xp, g, x, y, out: xp.multiply(g, xp.log(y)), _xlogy_y),
    "xlog1py": (lambda xp, g, x, y, out: xp.multiply(g, xp.log1p(y)), _xlog1py_y),
    "polygamma": (_no_rule, _polygamma),
    "gammainc": (_no_rule, _gammainc),
    "gammaincc": (_no_rule, lambda *args: args[0].negative(_gammainc(*args))),
    "rel_entr": (_rel_entr_x, _rel_entr_y),
    "betaln": (
        lambda xp, g, x, y, out: _betaln(xp, g, x, y),
        lambda xp, g, x, y, out: _betaln(xp, g, y, x),
    ),
}

_RULES: dict[str, Rule] = {
    **{name: Unary(scale) for name, scale in _UNARY.items()},
    **{name: Binary(*scales) for name, scales in _BINARY.items()},
}
