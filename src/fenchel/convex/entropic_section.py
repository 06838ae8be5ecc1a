"""The entropic projection on {0 <= y <= 1, <w, y> = c}, w >= 0.

The solution is min(exp(x - tau w), 1). Which entries are at 1 is found by bisection over the sorted
points x/w, on detached data; for the others

    log sum_free w exp(x - tau w) = log(c - sum_full w),

is solved for tau and then corrected by Newton steps with live arrays. In the log domain the
equation is linear in tau for equal weights, so that one step is exact to every order; for others
two steps are exact to order three.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array, Backend
from ..kernels import reference_kernel
from .rows import nan_where
from .thresholds import stop

__all__ = ["clipped_exp", "kl_section"]

_HALVINGS, _STEPS = 24, 6


def clipped_exp(xp: Any, x: Array) -> Array:
    """Return min(exp(x), 1) without overflow; at 0 the derivative is that of the inside."""
    return xp.exp(xp.where(x > 0, xp.zeros_like(x), x))


def kl_section(
    backend: Backend, x: Array, weights: Array, total: Array, *, uniform: bool = False
) -> Array:
    """Return the projection of each row, `total` clamped to [0, sum of the weights that count].

    Parameters
    ----------
    backend
        Adapter of the library of `x`.
    x
        Scores (..., n); -inf entries are out, inf entries are at 1, or share what there is.
    weights
        At least 0, (..., n); entries of weight 0 are min(exp(x), 1).
    total
        Array (..., 1).
    uniform
        Whether all weights are known to be equal.
    """
    xp = backend.namespace
    fixed = [backend.stop_gradient(a) for a in (x, weights, total)]
    zeros = xp.zeros_like(fixed[0])
    edge = stop(backend, reference_kernel(backend, saturation_edge)(*fixed))
    counts = (fixed[1] > 0) & (fixed[0] > -float("inf"))
    ratio = _ratio(xp, fixed[0], fixed[1], counts)
    free = counts & (ratio <= edge) & (ratio < float("inf"))
    full = counts & ~free
    held = xp.sum(xp.where(full, weights, zeros), axis=-1, keepdims=True)
    left = total - held
    room = stop(backend, left) > 0
    everything = xp.sum(xp.where(counts, fixed[1], zeros), axis=-1, keepdims=True) <= fixed[2]
    active = free & room & ~everything
    y = xp.where(active, _decayed(backend, x, weights, left, active, uniform), zeros)
    # Without room, by rounding or by infinite entries, those at 1 share what there is.
    holds = stop(backend, held) > 0
    share = xp.where(room | ~holds, xp.ones_like(left), total / xp.where(holds, held, 1 + held * 0))
    share = xp.where(stop(backend, share) > 0, share, xp.zeros_like(share))
    y = xp.where(full, xp.zeros_like(y) + share, y)
    y = xp.where(counts & everything, xp.ones_like(zeros), y)
    y = xp.where(fixed[1] == 0, clipped_exp(xp, x), y)
    return nan_where(backend, xp.any(xp.isnan(fixed[0]), axis=-1, keepdims=True), y)


def _decayed(
    backend: Backend, x: Array, weights: Array, left: Array, free: Array, uniform: bool
) -> Array:
    """Return exp(x - tau w) on the free entries, tau such that their weighted sum is `left`."""
    xp = backend.namespace
    zeros, ones = xp.zeros_like(backend.stop_gradient(x)), xp.ones_like(backend.stop_gradient(x))
    some = xp.any(free, axis=-1, keepdims=True)
    x, w = xp.where(free, x, zeros), xp.where(free, weights, ones)
    log_left = xp.log(xp.where(some, left, xp.ones_like(left)))
    mass = x + xp.log(w)
    fixed = [backend.stop_gradient(a) for a in (mass, w, log_left)]
    rate = least_rate if uniform else decay_rate
    tau = stop(backend, reference_kernel(backend, rate)(*fixed, free))
    for _ in range(1 if uniform else 2):
        height = mass - tau * w
        top = _max_where(xp, backend.stop_gradient(height), free)
        top = xp.where(some, top, xp.zeros_like(top))
        part = xp.where(free, xp.exp(xp.where(free, height - top, zeros)), zeros)
        sum_ = xp.sum(xp.where(some, part, ones), axis=-1, keepdims=True)
        slope = xp.sum(part * w, axis=-1, keepdims=True) / sum_
        slope = xp.where(some, slope, xp.ones_like(slope))
        tau = tau + (xp.log(sum_) + top - log_left) / slope
    y = xp.exp(x - tau * w)
    value = backend.stop_gradient(y)
    return y - xp.where(value > 1, value - 1, zeros)


def _ratio(xp: Any, x: Array, weights: Array, counts: Array) -> Array:
    """Return x/w, -inf where an entry does not count."""
    safe = xp.where(counts, weights, xp.ones_like(weights))
    return xp.where(counts, x / safe, xp.full_like(x, -float("inf")))


def _max_where(xp: Any, x: Array, chosen: Array) -> Array:
    """Return the largest of the chosen entries of each row, (..., 1)."""
    return xp.max(xp.where(chosen, x, xp.full_like(x, -float("inf"))), axis=-1, keepdims=True)


def saturation_edge(backend: Backend, x: Array, weights: Array, total: Array) -> Array:
    """Return the largest point x/w at or below tau, -inf if there is none; entries above are at 1.

    At tau = x_i/w_i entry i just reaches 1; tau is at or above that point if <w, y> is at least
    the total there.
    """
    xp = backend.namespace
    counts = (weights > 0) & (x > -float("inf"))
    infinity = float("inf")
    points = xp.sort(_ratio(xp, x, weights, counts), axis=-1)
    n, index = points.shape[-1], xp.arange(1).dtype

    def reaches(tau: Array) -> Array:
        known = xp.isfinite(tau)
        at = xp.where(known, tau, xp.zeros_like(tau))
        y = xp.where(counts, clipped_exp(xp, x - at * weights), xp.zeros_like(x))
        return xp.where(known, xp.sum(weights * y, axis=-1, keepdims=True) >= total, tau < 0)

    def point(place: Array) -> Array:
        last = xp.zeros_like(place) + (n - 1)
        inside = xp.minimum(xp.maximum(place, xp.zeros_like(place)), last)
        return xp.take_along_axis(points, inside, axis=-1)

    def body(_: Any, places: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = places
        middle = (low + high) // 2
        open_, passed = low < high, reaches(point(middle))
        return (
            xp.where(open_ & passed, middle + 1, low),
            xp.where(open_ & ~passed, middle, high),
        )

    none = xp.astype(xp.zeros_like(points[..., :1]), index)
    count, _ = backend.fori_loop(0, n.bit_length(), body, (none, none + n))
    edge = point(count - 1)
    return xp.where(count > 0, edge, xp.full_like(edge, -infinity))


def least_rate(
    backend: Backend, mass: Array, weights: Array, log_left: Array, free: Array
) -> Array:
    """Return the tau for which the largest term alone is enough, at most the root.

    For equal weights no more is needed: one Newton step from anywhere ends at the root.
    """
    low = _max_where(backend.namespace, (mass - log_left) / weights, free)
    return _or_zero(backend.namespace, low, free)


def decay_rate(
    backend: Backend, mass: Array, weights: Array, log_left: Array, free: Array
) -> Array:
    """Return tau with log sum_free exp(mass - tau w) = log_left: halvings, then Newton steps.

    From the point where the largest term alone is enough, to where none exceeds an equal share. The
    left side is convex in tau, so that Newton's steps from below the root never pass it.
    """
    xp = backend.namespace
    zeros = xp.zeros_like(mass)
    count = xp.sum(xp.astype(free, mass.dtype), axis=-1, keepdims=True)
    spread = xp.log(xp.where(count > 0, count, xp.ones_like(count)))
    low = least_rate(backend, mass, weights, log_left, free)
    high = _or_zero(xp, _max_where(xp, (mass - log_left + spread) / weights, free), free)

    def parts(tau: Array) -> Array:
        height = xp.where(free, mass - tau * weights - log_left, zeros)
        # Terms above 1 are beyond what is left: their size does not matter.
        return xp.where(free, xp.exp(xp.where(height > 1, zeros + 1, height)), zeros)

    def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = low + (high - low) / 2
        enough = xp.sum(parts(middle), axis=-1, keepdims=True) >= 1
        return xp.where(enough, middle, low), xp.where(enough, high, middle)

    def step(_: Any, tau: Array) -> Array:
        part = parts(tau)
        total = xp.sum(part, axis=-1, keepdims=True)
        slope = xp.sum(part * weights, axis=-1, keepdims=True)
        moves = (total > 0) & (slope > 0)
        total, slope = (xp.where(moves, a, xp.ones_like(a)) for a in (total, slope))
        return tau + xp.where(moves, xp.log(total) * total / slope, xp.zeros_like(tau))

    low, _ = backend.fori_loop(0, _HALVINGS, halve, (low, high))
    return backend.fori_loop(0, _STEPS, step, low)


def _or_zero(xp: Any, x: Array, free: Array) -> Array:
    """Return `x` (..., 1), 0 where no entry is free."""
    return xp.where(xp.any(free, axis=-1, keepdims=True), x, xp.zeros_like(x))
