"""Linear maxima over unbounded sets: along a ray, or at a point where the maximum is finite."""

from __future__ import annotations

from ..arrays import float_info
from ..backend import Array, Backend

__all__ = ["along_recession"]


def along_recession(
    backend: Backend, x: Array, direction: Array, point: Array, axes: tuple[int, ...] = (-1,)
) -> Array:
    """Return a maximiser of <x, y>: infinite along `direction`, or `point`.

    `direction` is the projection of `x` on the cone of directions that stay in the set. Where it is
    not zero the maximum is infinite, and its entries times infinity are the limit of the ray; what
    is left of it by rounding counts as zero.
    """
    xp = backend.namespace
    x, direction = backend.stop_gradient(x), backend.stop_gradient(direction)
    info = float_info(x.dtype)
    size = xp.max(xp.abs(x), axis=axes, keepdims=True)
    nothing = 64 * (info.eps if info else 0.0) * size
    moves = xp.abs(direction) > nothing
    infinite = xp.where(
        direction > 0, xp.full_like(x, float("inf")), xp.full_like(x, -float("inf"))
    )
    ray = xp.where(moves, infinite, xp.zeros_like(x))
    broken = xp.any(xp.isnan(direction), axis=axes, keepdims=True)
    ray = xp.where(broken, xp.full_like(x, float("nan")), ray)
    bounded = xp.all(ray == 0, axis=axes, keepdims=True)
    return xp.where(bounded, point, ray)
