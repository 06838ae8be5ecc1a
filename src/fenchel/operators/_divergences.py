r"""The f-divergences D(p, q) = sum_i q_i f(p_i/q_i): one family of powers, and Jensen-Shannon's.

Up to a factor all but Jensen and Shannon's are alpha-divergences, with the generator f_alpha of
`_deformed`: Kullback-Leibler at 1, its reverse at 0, chi-squared at 2, Neyman's at -1, and half the
one at 1/2 is the squared Hellinger distance. Here they are functions of the ratios u = p/q.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..arrays import axis_last, check_choice, check_dtype, check_number, float_info
from ..parameters import check_array, known_to, row_parameter
from ._deformed import bregman_entries, deformed, floor, generator

__all__ = ["DIVERGENCES", "Divergence", "check_divergence", "reference_rows", "row_alpha"]

Array = Any

# Exponent and factor; None: no power.
_POWERS: dict[str, tuple[float | None, float]] = {
    "kl": (1.0, 1.0),
    "reverse_kl": (0.0, 1.0),
    "jensen_shannon": (None, 1.0),
    "chi2": (2.0, 1.0),
    "neyman_chi2": (-1.0, 1.0),
    "squared_hellinger": (0.5, 0.5),
    "alpha": (None, 1.0),
}
DIVERGENCES = tuple(_POWERS)


@dataclass(frozen=True, eq=False)
class Divergence:
    """A generator f: `factor` times f_alpha, or Jensen and Shannon's where `alpha` is None."""

    alpha: Any
    factor: float = 1.0

    def slope(self, xp: Any, u: Array) -> Array:
        """Return f'(u); a u below the smallest normal number counts as that."""
        log_u = xp.log(floor(xp, u))
        if self.alpha is None:
            return 0.6931471805599453 + log_u - xp.log1p(u)
        if isinstance(self.alpha, float) and self.alpha == 2.0:
            return self.factor * (u - 1.0)
        return self.factor * deformed(xp, log_u, self.alpha)

    def curvature(self, xp: Any, u: Array) -> Array:
        """Return f''(u), with the same floor."""
        u = floor(xp, u)
        if self.alpha is None:
            return 1.0 / (u * (1.0 + u))
        return self.factor * xp.exp((self.alpha - 2.0) * xp.log(u))

    def bregman(self, xp: Any, a: Array, b: Array) -> Array:
        """Return f(a) - f(b) - f'(b)(a - b) >= 0; b has the floor. With b = 1 this is f(a)."""
        if self.alpha is None:
            return _jensen_shannon(xp, a, b)
        return self.factor * _power_bregman(xp, a, b, self.alpha)

    def infinite_at_zero(self, xp: Any, like: Array) -> Array:
        """Return, for rows (..., n) like `like`, whether f(0) is infinite."""
        if self.alpha is None:
            return xp.zeros_like(like) > 0
        return xp.zeros_like(like) + self.alpha <= 0


def _power_bregman(xp: Any, a: Array, b: Array, alpha: Any) -> Array:
    """Return b^alpha f_alpha(a/b) for any alpha."""
    if isinstance(alpha, float):
        return (bregman_entries if alpha >= 0.5 else _reflected)(xp, a, b, alpha)
    high = alpha >= 0.5
    upper = bregman_entries(xp, a, b, xp.where(high, alpha, xp.full_like(alpha, 0.5)))
    return xp.where(high, upper, _reflected(xp, a, b, xp.where(high, xp.zeros_like(alpha), alpha)))


def _reflected(xp: Any, a: Array, b: Array, alpha: Any) -> Array:
    """The same for alpha < 1/2, by f_alpha(u) = u f_(1 - alpha)(1/u)."""
    other = 1.0 - alpha
    nothing = a <= 0
    # f' grows fast towards 0: no maximiser comes near this bound, whose powers are still finite.
    least = xp.full_like(b, float(xp.finfo(b.dtype).smallest_normal) ** 0.5)
    b = xp.where(b < least, least, b)
    a = xp.where(nothing, b, floor(xp, a))
    close = b < 4.0 * a
    ones = xp.ones_like(b)
    near = xp.where(close, a, ones)
    ratio = xp.where(close, b, ones) / near
    inside = generator(xp, ratio, (xp.where(close, b, ones) - near) / near, other) / ratio
    log_u = xp.log(xp.where(close, ones, a)) - xp.log(xp.where(close, ones, b))
    beyond = (deformed(xp, -log_u, other) - (1.0 - xp.exp(log_u))) / other
    value = xp.exp(alpha * xp.log(b)) * xp.where(close, inside, beyond)
    finite = xp.zeros_like(value) + alpha > 0
    order = xp.where(finite, xp.zeros_like(value) + alpha, xp.ones_like(value))
    at_zero = xp.where(finite, xp.exp(order * xp.log(b)) / order, xp.full_like(b, float("inf")))
    return xp.where(nothing, at_zero, value)


def _jensen_shannon(xp: Any, a: Array, b: Array) -> Array:
    """Return a log(a/b) - (a + 1) log((a + 1)/(b + 1)), written in d = a - b.

    With x = d/(b (a + 1)) and y = d/(b + 1) it is a log(1 + x) - log(1 + y), and near d = 0
    d^2/(b (a + 1)(b + 1)) - a h(x) + h(y), h(x) = x - log(1 + x).
    """
    a, b = floor(xp, a), floor(xp, b)
    d = a - b
    x, y = d / (b * (a + 1.0)), d / (b + 1.0)
    near = xp.abs(d) < 0.1 * b
    zeros = xp.zeros_like(d)
    close_x, close_y = xp.where(near, x, zeros), xp.where(near, y, zeros)
    square = xp.where(near, d, zeros) * close_x / (b + 1.0)
    inside = square - a * _log_gap(xp, close_x) + _log_gap(xp, close_y)
    low = x < -0.5
    quotient = xp.log(a) - xp.log(b) + xp.log1p(b) - xp.log1p(a)
    beyond = a * xp.where(low, quotient, xp.log1p(xp.where(low, zeros, x)))
    below = y < -0.5
    ratio = xp.log1p(a) - xp.log1p(b)
    beyond = beyond - xp.where(below, ratio, xp.log1p(xp.where(below, zeros, y)))
    return xp.where(near, inside, beyond)


def _log_gap(xp: Any, x: Array) -> Array:
    """Return x - log(1 + x) of a small x, |x| < 0.12."""
    series = xp.zeros_like(x)
    for n in range(18, 1, -1):
        series = 1.0 / n - x * series
    return x * x * series


def check_divergence(divergence: str, alpha: Any) -> Divergence:
    """Return the divergence of a name, and of an exponent where the name is "alpha".

    Raises
    ------
    TypeError
        If `alpha` is a number that is not real.
    ValueError
        If the name is unknown, or `alpha` is missing, infinite, or not needed.
    """
    check_choice("divergence", divergence, DIVERGENCES)
    if (alpha is None) == (divergence == "alpha"):
        need = "given" if alpha is None else "None"
        raise ValueError(f"`alpha` must be {need} with divergence={divergence!r}; got {alpha!r}")
    if divergence != "alpha":
        return Divergence(*_POWERS[divergence])
    if isinstance(alpha, Real):
        alpha = check_number("alpha", alpha)
        if abs(alpha) == float("inf"):
            raise ValueError(f"`alpha` must be finite; got alpha={alpha:g}")
    return Divergence(alpha)


def row_alpha(backend: Any, divergence: Divergence, x: Array, axis: int) -> Divergence:
    """Return the divergence with its exponent as a number or an array (..., 1)."""
    if divergence.alpha is None or isinstance(divergence.alpha, float):
        return divergence
    alpha = row_parameter(backend, "alpha", divergence.alpha, x, axis)
    return Divergence(alpha, divergence.factor)


def reference_rows(backend: Any, reference: Array, x: Array, axis: int) -> tuple[Array, Array]:
    """Return the reference measure of each row, event axis last, 1 where it is out, and what is.

    `x` is the caller's array; the reference has shape (n,) or broadcasts to that of `x`. Entries
    below the smallest normal number are out.

    Raises
    ------
    TypeError
        If `reference` is not a floating array of the library of `x`.
    ValueError
        If it does not broadcast to the shape of `x`.
    """
    check_array("reference", reference, backend)
    check_dtype("reference", reference)
    xp = backend.namespace
    q = known_to(backend, reference)
    shape, target = tuple(q.shape), tuple(x.shape)
    rows = (*target[:axis], *target[axis + 1 :], target[axis])
    wanted = rows if len(shape) == 1 else target
    if not shape or len(shape) > len(target) or not _fits(shape, wanted):
        raise ValueError(f"`reference` must broadcast to {wanted}; got shape {shape}")
    q = xp.broadcast_to(q, wanted)
    q = q if len(shape) == 1 else axis_last(xp, q, axis)
    info = float_info(x.dtype)
    dtype = xp.float32 if info is not None and info.half else x.dtype
    q = q if q.dtype == dtype else xp.astype(q, dtype)
    out = backend.stop_gradient(q) < float(xp.finfo(dtype).smallest_normal)
    return xp.where(out, xp.ones_like(q), q), out


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether `shape` broadcasts to `target` with the same number of entries a row."""
    return all(
        size in (1, wanted)
        for size, wanted in zip(shape[::-1], target[: -len(shape) - 1 : -1], strict=True)
    )
