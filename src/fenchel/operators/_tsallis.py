r"""The threshold problem behind entmax: sum_i exp_alpha(x_i - t) = 1 over each row.

exp_alpha(z) = [1 + (alpha - 1) z]_+^(1/(alpha - 1)), and exp(z) at alpha = 1. Written as
exp(z g((alpha - 1) z)) with g(u) = log(1 + u)/u it is smooth in alpha, at 1 too.

For alpha above 2 the map t -> p is steep at the edge of the support: a base 1 + (alpha - 1)(x - t)
below the resolution of t can carry a probability of 1e-2. There the unknown is the probability w of
the smallest entry j of the support instead: the base of entry i is (alpha - 1)(x_i - x_j) +
w^(alpha - 1), in which nothing cancels.
"""

from __future__ import annotations

from typing import Any

from ..backend import reference_kernel, structure_kernel
from ..convex.thresholds import bisect, power, steps_for, stop

__all__ = ["entmax_formula", "entmax_threshold", "steep_formula", "steep_root"]

Array = Any

_SERIES = 0.02  # below, g is summed as a series: 0.02^10 is below the rounding of float64
_TERMS = 10


def entmax_formula(backend: Any, x: Array, alpha: Any) -> Array:
    """Entmax of prepared scores (at most 0, -inf is out) for alpha in [1, 2].

    The threshold is found detached and corrected by two Newton steps with live `x` and `alpha`.
    """
    xp = backend.namespace
    data, alpha0 = backend.stop_gradient(x), stop(backend, alpha)
    find = structure_kernel(backend, "entmax_threshold", entmax_threshold, data)
    found = backend.stop_gradient(find(data, alpha0))
    known = xp.isfinite(found)
    t = xp.where(known, found, xp.zeros_like(found))
    on = known & (data > float("-inf")) & (1.0 + (alpha0 - 1.0) * (data - t) > 0)
    for _ in range(2):
        g, ones = _exponent(xp, x, t, alpha, on)
        p = xp.where(on, xp.exp(g), xp.zeros_like(x))
        # dp/dt = -p^(2 - alpha)
        slope = xp.where(on, xp.exp((2.0 - alpha) * g), xp.zeros_like(x))
        slope = xp.sum(slope, axis=-1, keepdims=True)
        excess = xp.sum(p, axis=-1, keepdims=True) - 1.0
        t = t + xp.where(known, excess, ones * 0.0) / xp.where(known, slope, ones)
    g, _ = _exponent(xp, x, t, alpha, on)
    y = xp.where(on, xp.exp(g), xp.zeros_like(x))
    return xp.where(xp.isnan(found), xp.full_like(y, float("nan")), y)


def _exponent(xp: Any, x: Array, t: Array, alpha: Any, on: Array) -> tuple[Array, Array]:
    """Return log exp_alpha(x - t) on the support, 0 elsewhere, and ones of the shape of t."""
    z = xp.where(on, x, xp.broadcast_to(t, x.shape)) - t
    u = (alpha - 1.0) * z
    inside = 1.0 + u > 0  # a corrected threshold may leave an edge entry by a rounding
    u = xp.where(inside, u, xp.full_like(u, -1.0 + 2.0**-50))
    return z * _log1p_ratio(xp, u), xp.ones_like(t)


def _log1p_ratio(xp: Any, u: Array) -> Array:
    """Return log(1 + u)/u, by its series around 0."""
    small = xp.abs(u) < _SERIES
    near = xp.where(small, u, xp.zeros_like(u))
    far = xp.where(small, xp.ones_like(u), u)
    series = xp.zeros_like(u)
    for n in range(_TERMS, 0, -1):
        series = 1.0 / n - near * series
    return xp.where(small, series, xp.log1p(far) / far)


def entmax_threshold(backend: Any, x: Array, alpha: Any) -> Array:
    """Reference kernel: t in [max x, max x + (1 - n^(1 - alpha))/(alpha - 1)], by bisection."""
    xp = backend.namespace
    zeros = xp.zeros_like(x[..., :1])
    alpha = zeros + alpha
    top = xp.max(x, axis=-1, keepdims=True)
    empty = top == float("-inf")
    low = xp.where(empty, zeros, top)
    valid = x > float("-inf")
    count = xp.sum(xp.astype(valid, x.dtype), axis=-1, keepdims=True)
    logs = xp.log(xp.where(count > 0, count, zeros + 1.0))
    width = logs * _expm1_ratio(xp, (1.0 - alpha) * logs)

    def above(t: Array) -> Array:
        z = xp.where(valid, x, xp.broadcast_to(t, x.shape)) - t
        u = (alpha - 1.0) * z
        inside = valid & (1.0 + u > 0)
        p = xp.exp(z * _log1p_ratio(xp, xp.where(inside, u, xp.zeros_like(u))))
        p = xp.where(inside, p, xp.zeros_like(p))
        return xp.sum(p, axis=-1, keepdims=True) >= 1.0

    t = bisect(backend, above, low, low + width * (1 + 2.0**-20), steps_for(x))
    t = xp.where(empty, zeros + float("inf"), t)
    return xp.where(xp.any(xp.isnan(x), axis=-1, keepdims=True), zeros + float("nan"), t)


def _expm1_ratio(xp: Any, u: Array) -> Array:
    """Return (exp(u) - 1)/u, 1 at 0."""
    zero = u == 0
    safe = xp.where(zero, xp.ones_like(u), u)
    return xp.where(zero, xp.ones_like(u), xp.expm1(safe) / safe)


def steep_formula(backend: Any, x: Array, alpha: Any) -> Array:
    """Entmax of prepared scores (at most 0, -inf is out) for alpha > 2."""
    xp = backend.namespace
    data, alpha0 = backend.stop_gradient(x), stop(backend, alpha)
    edge, w = reference_kernel(backend, steep_root)(data, alpha0)
    w = backend.stop_gradient(w)
    valid = data != float("-inf")
    x, data = (xp.where(valid, a, xp.zeros_like(a)) for a in (x, data))
    z = x - xp.take_along_axis(x, edge, axis=-1)
    heights = data - xp.take_along_axis(data, edge, axis=-1)
    on = (heights >= 0) & valid
    above = on & (heights > 0)
    at_edge = xp.sum(xp.astype(on & ~above, x.dtype), axis=-1, keepdims=True)
    z = xp.where(above, z, xp.ones_like(z))
    for _ in range(2):
        base = (alpha - 1.0) * z + w ** (alpha - 1.0)
        p = xp.where(above, base ** (1.0 / (alpha - 1.0)), xp.zeros_like(x))
        # dp_i/dw = (w / p_i)^(alpha - 2)
        rate = xp.where(above, w / xp.where(above, p, xp.ones_like(p)), xp.zeros_like(p))
        rate = xp.where(above, rate ** (alpha - 2.0), xp.zeros_like(p))
        excess = xp.sum(p, axis=-1, keepdims=True) + at_edge * w - 1.0
        slope = at_edge + xp.sum(rate, axis=-1, keepdims=True)
        w = w - excess / xp.where(at_edge > 0, slope, xp.ones_like(slope))
        w = xp.where(w > 0, w, xp.full_like(w, xp.finfo(w.dtype).smallest_normal))
    base = (alpha - 1.0) * z + w ** (alpha - 1.0)
    p = xp.where(above, base ** (1.0 / (alpha - 1.0)), xp.zeros_like(x))
    y = xp.where(on & ~above, xp.broadcast_to(w, x.shape), p)
    y = xp.where(xp.any(xp.isnan(data), axis=-1, keepdims=True), xp.full_like(y, float("nan")), y)
    return y


def steep_root(backend: Any, x: Array, alpha: Any) -> tuple[Array, Array]:
    """Reference kernel: the place of the smallest entry of the support, and its probability.

    Entry m of the sorted row is in the support if the entries above it, with its base at 0, have a
    mass below 1: true for the first ones and false for the rest, so a bisection over m finds the
    last; then a bisection over w in (0, 1] finds its probability.
    """
    xp = backend.namespace
    n = x.shape[-1]
    order = xp.argsort(x, axis=-1, descending=True, stable=True)
    ordered = xp.take_along_axis(x, order, axis=-1)
    nothing = ordered == float("-inf")
    finite = xp.where(nothing, xp.zeros_like(ordered), ordered)

    def mass(place: Array, w: Array) -> Array:
        heights = finite - xp.take_along_axis(finite, place, axis=-1)
        inside = (heights >= 0) & ~nothing
        base = (alpha - 1.0) * xp.where(inside, heights, xp.zeros_like(heights)) + w ** (
            alpha - 1.0
        )
        p = power(xp, base, 1.0 / (alpha - 1.0))
        return xp.sum(xp.where(inside, p, xp.zeros_like(p)), axis=-1, keepdims=True)

    zeros = xp.zeros_like(x[..., :1])
    low = xp.zeros_like(order[..., :1])
    high = low + n

    def narrow(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) // 2
        out = xp.take_along_axis(nothing, middle, axis=-1) | ~(mass(middle, zeros) < 1.0)
        return xp.where(out, low, middle), xp.where(out, middle, high)

    low, _ = backend.fori_loop(0, max(1, n.bit_length() + 1), narrow, (low, high))
    w = bisect(backend, lambda w: mass(low, w) < 1.0, zeros, zeros + 1.0, steps_for(x))
    return xp.take_along_axis(order, low, axis=-1), w
