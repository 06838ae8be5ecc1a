r"""The maximiser of <p, z> - D_alpha(p, q) over the simplex for alpha above 2.

As for entmax (see `_tsallis`), the unknown is u = p/q of the smallest entry j of the support: the
base of entry i is (alpha - 1)(z_i - z_j) + u^(alpha - 1), in which nothing cancels.
"""

from __future__ import annotations

from typing import Any

from ..convex.thresholds import bisect, power, row_constant, steps_for
from ..kernels import solver_kernel

__all__ = ["weighted_steep_formula", "weighted_steep_root"]

Array = Any


def weighted_steep_formula(backend: Any, z: Array, q: Array, alpha: Any) -> Array:
    """Probabilities for alpha above 2 with a reference measure; -inf is out."""
    xp = backend.namespace
    data, q0 = backend.stop_gradient(z), backend.stop_gradient(q)
    edge, u = solver_kernel(backend, weighted_steep_root)(
        data, q0, row_constant(backend, alpha, data)
    )
    u = _normal(xp, backend.stop_gradient(u))
    valid, zeros = data != float("-inf"), xp.zeros_like(z)
    z, data = (xp.where(valid, a, zeros) for a in (z, data))
    height = z - xp.take_along_axis(z, edge, axis=-1)
    levels = data - xp.take_along_axis(data, edge, axis=-1)
    above, tied = valid & (levels > 0), valid & (levels == 0)
    at_edge = xp.sum(xp.where(tied, q, zeros), axis=-1, keepdims=True)
    for _ in range(2):
        p = _masses(xp, height, u, q, alpha, above)
        # dp_i/du = q_i (u / u_i)^(alpha - 2)
        ratio = u * q / xp.where(above, p, xp.ones_like(p))
        rate = q * xp.where(above, ratio, xp.ones_like(p)) ** (alpha - 2.0)
        slope = at_edge + xp.sum(xp.where(above, rate, zeros), axis=-1, keepdims=True)
        excess = xp.sum(p, axis=-1, keepdims=True) + at_edge * u - 1.0
        u = _normal(xp, u - excess / xp.where(at_edge > 0, slope, xp.ones_like(slope)))
    y = xp.where(tied, q * u, _masses(xp, height, u, q, alpha, above))
    nan = xp.any(xp.isnan(data) | xp.isnan(q0), axis=-1, keepdims=True)
    return xp.where(nan, xp.full_like(y, float("nan")), y)


def _normal(xp: Any, u: Array) -> Array:
    return xp.where(u > 0, u, xp.full_like(u, float(xp.finfo(u.dtype).smallest_normal)))


def _masses(xp: Any, height: Array, u: Array, q: Array, alpha: Any, above: Array) -> Array:
    """Return the probabilities of the entries above the smallest of the support."""
    base = (alpha - 1.0) * xp.where(above, height, xp.ones_like(height)) + u ** (alpha - 1.0)
    return xp.where(above, q * base ** (1.0 / (alpha - 1.0)), xp.zeros_like(height))


def weighted_steep_root(backend: Any, z: Array, q: Array, alpha: Any) -> tuple[Array, Array]:
    """Reference kernel: the place of the smallest entry of the support, and its u.

    Entry m of the sorted row is in the support if the entries above it, with its u at 0, have a
    mass below 1.
    """
    xp = backend.namespace
    order = xp.argsort(z, axis=-1, descending=True, stable=True)
    ordered, weights = (xp.take_along_axis(a, order, axis=-1) for a in (z, q))
    nothing, zeros = ordered == float("-inf"), xp.zeros_like(z)
    finite = xp.where(nothing, zeros, ordered)
    weights = xp.where(nothing, zeros, weights)

    def mass(place: Array, u: Array) -> Array:
        heights = finite - xp.take_along_axis(finite, place, axis=-1)
        inside = (heights >= 0) & xp.logical_not(nothing)
        base = (alpha - 1.0) * xp.where(inside, heights, zeros) + u ** (alpha - 1.0)
        p = weights * power(xp, base, 1.0 / (alpha - 1.0))
        return xp.sum(xp.where(inside, p, zeros), axis=-1, keepdims=True)

    low = xp.zeros_like(xp.min(order, axis=-1, keepdims=True))
    high, none = low + z.shape[-1], xp.min(zeros, axis=-1, keepdims=True)

    def narrow(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) // 2
        covered = mass(middle, none) < 1.0
        out = xp.take_along_axis(nothing, middle, axis=-1) | xp.logical_not(covered)
        return xp.where(out, low, middle), xp.where(out, middle, high)

    low, _ = backend.fori_loop(0, max(1, z.shape[-1].bit_length() + 1), narrow, (low, high))
    own = xp.take_along_axis(weights, low, axis=-1)
    most = 1.0 / xp.where(own > 0, own, xp.ones_like(own))
    u = bisect(backend, lambda u: mass(low, u) < 1.0, none, most, steps_for(z))
    return xp.take_along_axis(order, low, axis=-1), u
