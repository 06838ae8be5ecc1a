r"""The threshold problem behind entmax: sum_i exp_alpha(x_i - t) = 1 over each row.

exp_alpha(z) = [1 + (alpha - 1) z]_+^(1/(alpha - 1)), and exp(z) at alpha = 1. Written as
exp(z g((alpha - 1) z)) with g(u) = log(1 + u)/u it is smooth in alpha, at 1 too.

For alpha above 2 the map t -> p is steep at the edge of the support: a base 1 + (alpha - 1)(x - t)
below the resolution of t can carry a probability of 1e-2. There the unknown is the probability w of
the smallest entry j of the support instead: the base of entry i is (alpha - 1)(x_i - x_j) +
w^(alpha - 1), in which nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..convex.thresholds import bisect, power, row_constant, steps_for, stop
from ..kernels import solver_kernel, structure_kernel
from ._candidates import candidates

__all__ = [
    "entmax_formula",
    "entmax_threshold",
    "raised_floor",
    "steep_formula",
    "steep_root",
    "support_floor",
]

Array = Any

_SERIES = 0.02  # below, g is summed as a series: 0.02^10 is below the rounding of float64
_TERMS = 10
_STAGES, _STAGE_STEPS, _LONG = 3, 5, 512  # long rows are filtered again as a bracket narrows
_FLOOR_STEPS = 8


def entmax_formula(backend: Any, x: Array, alpha: Any) -> Array:
    """Entmax of prepared scores (at most 0, -inf is out) for alpha in [1, 2].

    The threshold is found detached. With the support that it gives, the live threshold is a closed
    formula for the numbers alpha = 2 and 1.5; for others it takes two Newton steps.
    """
    xp = backend.namespace
    data, alpha0 = backend.stop_gradient(x), stop(backend, alpha)
    find = structure_kernel(backend, "entmax_threshold", entmax_threshold, data)
    found = backend.stop_gradient(find(data, alpha0))
    known = xp.isfinite(found)
    t = xp.where(known, found, xp.zeros_like(found))
    on = known & (data > float("-inf"))
    height = xp.where(on, data, xp.broadcast_to(t, data.shape)) - t
    on = on & (1.0 + (alpha0 - 1.0) * height > 0)
    if not isinstance(alpha, float):
        y = _any_alpha(xp, x, t, alpha, on)
    elif alpha == 2.0:
        y = _linear(xp, x, t, on)
    elif alpha == 1.5:
        y = _quadratic(xp, x, t, on)
    else:
        y = _power(xp, x, t, alpha, on)
    return xp.where(xp.isnan(found), xp.full_like(y, float("nan")), y)


def _linear(xp: Any, x: Array, t: Array, on: Array) -> Array:
    """Alpha = 2: the entries b of the support sum to 1 + excess, shared equally."""
    b = xp.where(on, 1.0 + (x - t), xp.zeros_like(x))
    y = b - (xp.sum(b, axis=-1, keepdims=True) - 1.0) / _support_size(xp, x, on)
    return xp.where(on & (y > 0), y, xp.zeros_like(y))


def _quadratic(xp: Any, x: Array, t: Array, on: Array) -> Array:
    """Alpha = 1.5: sum (b - d)^2 = 1 over the support has its smaller root at d."""
    b = xp.where(on, 1.0 + 0.5 * (x - t), xp.zeros_like(x))
    total = xp.sum(b, axis=-1, keepdims=True)
    excess = xp.sum(b * b, axis=-1, keepdims=True) - 1.0
    d = excess / (total + xp.sqrt(total * total - _support_size(xp, x, on) * excess))
    y = b - d
    return xp.where(on & (y > 0), y * y, xp.zeros_like(y))


def _support_size(xp: Any, x: Array, on: Array) -> Array:
    """Return the size of the support, 1 where it is empty."""
    size = xp.sum(xp.astype(on, x.dtype), axis=-1, keepdims=True)
    return xp.where(size > 0, size, xp.ones_like(size))


def _power(xp: Any, x: Array, t: Array, alpha: float, on: Array) -> Array:
    """A number alpha in [1, 2]: p = (1 + u)^(1/(alpha - 1)) with u = (alpha - 1)(x - t)."""
    order = alpha - 1.0
    for _ in range(2):
        u, p = _powers(xp, x, t, order, on)
        t = _newton_step(xp, t, p, p / (1.0 + u))  # dp/dt = -p^(2 - alpha)
    return _powers(xp, x, t, order, on)[1]


def _powers(xp: Any, x: Array, t: Array, order: float, on: Array) -> tuple[Array, Array]:
    """Return u and p on the support, 0 elsewhere."""
    u = order * (x - t)
    inside = on & (u > -1.0)  # a corrected threshold may leave an edge entry by a rounding
    zeros = xp.zeros_like(x)
    u = xp.where(inside, u, zeros)
    return u, xp.where(inside, xp.exp(xp.log1p(u) / order), zeros)


def _newton_step(xp: Any, t: Array, p: Array, slopes: Array) -> Array:
    """One step on sum p = 1 in t, where -`slopes` are the derivatives of p; no step from 0."""
    slope = xp.sum(slopes, axis=-1, keepdims=True)
    excess = xp.sum(p, axis=-1, keepdims=True) - 1.0
    moves = slope > 0
    return t + xp.where(moves, excess, xp.zeros_like(t)) / xp.where(
        moves, slope, xp.ones_like(slope)
    )


def _any_alpha(xp: Any, x: Array, t: Array, alpha: Array, on: Array) -> Array:
    """An array alpha in [1, 2], differentiated at 1 too."""
    for _ in range(2):
        g, p = _exponentials(xp, x, t, alpha, on)
        slopes = xp.where(p > 0, xp.exp((2.0 - alpha) * g), xp.zeros_like(x))
        t = _newton_step(xp, t, p, slopes)
    return _exponentials(xp, x, t, alpha, on)[1]


def _exponentials(xp: Any, x: Array, t: Array, alpha: Array, on: Array) -> tuple[Array, Array]:
    """Return log p and p on the support, 0 elsewhere."""
    z = xp.where(on, x, xp.broadcast_to(t, x.shape)) - t
    u = (alpha - 1.0) * z
    inside = on & (u > -1.0)
    zeros = xp.zeros_like(x)
    g = z * _log1p_ratio(xp, xp.where(inside, u, zeros))
    return g, xp.where(inside, xp.exp(g), zeros)


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
    exponent = _exponent(alpha)
    alpha = zeros + alpha
    top = xp.max(x, axis=-1, keepdims=True)
    unknown, empty = xp.isnan(top), top == float("-inf")
    low = xp.where(empty, zeros, top)
    width = _width(xp, alpha, x.shape[-1])
    # entries count where 1 + (alpha - 1)(x - t) > 0; at alpha = 1 all of them do
    curved = alpha > 1.0
    reach = (1.0 + 2.0**-10) / xp.where(curved, alpha - 1.0, zeros + 1.0)
    steps = steps_for(x)
    for _ in range(_STAGES):  # rows are shortened as the bracket rises
        x = candidates(backend, x, xp.where(curved, low - reach, zeros + float("-inf")))
        if x.shape[-1] < _LONG or backend.native_autodiff:
            break
        t = bisect(backend, _covers(xp, x, alpha, exponent), low, low + width, _STAGE_STEPS)
        width = width * (2.0**-_STAGE_STEPS * (1 + 2.0**-10))
        low, steps = xp.maximum(low, t - 0.5 * width), steps - _STAGE_STEPS
    t = bisect(backend, _covers(xp, x, alpha, exponent), low, low + width, steps)
    t = xp.where(empty, zeros + float("inf"), t)
    return xp.where(unknown, zeros + float("nan"), t)


def support_floor(
    backend: Any, x: Array, top: Array, alpha: float, temperature: float = 1.0
) -> Array:
    """Return a number (..., 1) below every score with a share, `top` the largest, alpha above 1."""
    highest = candidates(backend, x, top - 0.5 * temperature / (alpha - 1.0))
    some = highest if highest.shape[-1] < x.shape[-1] else None
    return raised_floor(backend, some, top, alpha, temperature)


def raised_floor(
    backend: Any, some: Array | None, top: Array, alpha: float, temperature: float
) -> Array:
    """Return a number (..., 1) below every score with a share, from the largest and some others.

    Some entries have a threshold that is at most that of all; a few bisections bound it.
    """
    xp = backend.namespace
    if some is None:
        raised = top
    else:
        low, orders = xp.zeros_like(top), xp.full_like(top, alpha)
        z = (some - xp.where(xp.isfinite(top), top, low)) / temperature
        width = _width(xp, orders, z.shape[-1])
        covers = _covers(xp, z, orders, _exponent(alpha))
        t = bisect(backend, covers, low, low + width, _FLOOR_STEPS)
        raised = top + temperature * (t - 2.0**-_FLOOR_STEPS * width)
    return raised - (1.0 + 2.0**-10) * temperature / (alpha - 1.0) - 2.0**-20 * xp.abs(top)


def _width(xp: Any, alpha: Array, n: int) -> Array:
    """Return how far the threshold of n scores may stand above the largest."""
    logs = xp.zeros_like(alpha) + math.log(n)
    return logs * _expm1_ratio(xp, (1.0 - alpha) * logs) * (1 + 2.0**-20)


def _exponent(alpha: Any) -> float | None:
    """Return 1/(alpha - 1) for a number well above 1; that of 2, 3/2 and 4/3 is whole."""
    if not isinstance(alpha, float) or alpha < 1.1:
        return None
    found = 1.0 / (alpha - 1.0)
    return float(round(found)) if abs(found - round(found)) < 1e-9 else found


def _covers(xp: Any, x: Array, alpha: Array, exponent: float | None) -> Callable[[Array], Array]:
    """Return the predicate that the shares at a threshold sum to 1 at least."""
    valid = x > float("-inf")

    def powers(t: Array) -> Array:
        base = 1.0 + (alpha - 1.0) * (x - t)
        p = power(xp, xp.maximum(base, xp.zeros_like(base)), exponent)
        return xp.sum(p, axis=-1, keepdims=True) >= 1.0

    def above(t: Array) -> Array:
        z = xp.where(valid, x, xp.broadcast_to(t, x.shape)) - t
        u = (alpha - 1.0) * z
        inside = valid & (1.0 + u > 0)
        p = xp.exp(z * _log1p_ratio(xp, xp.where(inside, u, xp.zeros_like(u))))
        p = xp.where(inside, p, xp.zeros_like(p))
        return xp.sum(p, axis=-1, keepdims=True) >= 1.0

    return above if exponent is None else powers


def _expm1_ratio(xp: Any, u: Array) -> Array:
    """Return (exp(u) - 1)/u, 1 at 0."""
    zero = u == 0
    safe = xp.where(zero, xp.ones_like(u), u)
    return xp.where(zero, xp.ones_like(u), xp.expm1(safe) / safe)


def steep_formula(backend: Any, x: Array, alpha: Any) -> Array:
    """Entmax of prepared scores (at most 0, -inf is out) for alpha > 2."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    edge, w = solver_kernel(backend, steep_root)(data, row_constant(backend, alpha, data))
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
        rate = xp.where(above, w / xp.where(above, p, xp.ones_like(p)), xp.ones_like(p))
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
        inside = (heights >= 0) & xp.logical_not(nothing)
        base = (alpha - 1.0) * xp.where(inside, heights, xp.zeros_like(heights)) + w ** (
            alpha - 1.0
        )
        p = power(xp, base, 1.0 / (alpha - 1.0))
        return xp.sum(xp.where(inside, p, xp.zeros_like(p)), axis=-1, keepdims=True)

    zeros = xp.zeros_like(xp.min(finite, axis=-1, keepdims=True))
    low = xp.zeros_like(xp.min(order, axis=-1, keepdims=True))
    high = low + n

    def narrow(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) // 2
        covered = mass(middle, zeros) < 1.0
        out = xp.take_along_axis(nothing, middle, axis=-1) | xp.logical_not(covered)
        return xp.where(out, low, middle), xp.where(out, middle, high)

    low, _ = backend.fori_loop(0, max(1, n.bit_length() + 1), narrow, (low, high))
    w = bisect(backend, lambda w: mass(low, w) < 1.0, zeros, zeros + 1.0, steps_for(x))
    return xp.take_along_axis(order, low, axis=-1), w
