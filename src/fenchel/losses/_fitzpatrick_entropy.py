r"""Fitzpatrick losses of Shannon's and Tsallis' entropies, 1 <= alpha < 2.

The maximiser t is found on plain arrays and corrected by two Newton steps on its optimality
conditions with live scores, target and alpha, which makes derivatives exact to order three. The
value is sum (t - y)^2 phi''(t), or (t - y)(theta - lambda - phi'(t)), the same number, where t is
far below y.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..convex.thresholds import row_constant
from ..kernels import solver_kernel
from ..operators._deformed import deformed
from ..operators._scores import shifted
from ..special import wright_omega
from ._fitzpatrick_roots import maximiser
from ._pieces import bounded, corrected, excess, impossible_rows, out_of, with_nan
from ._problem import Problem, differentiates

__all__ = [
    "entropy_maximiser",
    "entropy_rows",
    "logistic_index_gradient",
    "logistic_index_rows",
    "logistic_softmax_rows",
]

Array = Any


class Maximiser(NamedTuple):
    """The maximiser of each row with what it was computed from: logarithm, support, lambda."""

    point: Array
    log_point: Array
    on: Array
    level: Array


def entropy_maximiser(backend: Any, z: Array, y: Array, alpha: Any) -> Maximiser:
    """Return the maximiser as a function of live scores `z` (at most 0), `y` and `alpha`."""
    xp = backend.namespace
    data, target = backend.stop_gradient(z), backend.stop_gradient(y)
    t, level = solver_kernel(backend, maximiser)(
        data, xp.broadcast_to(target, data.shape), row_constant(backend, alpha, data)
    )
    t, level = backend.stop_gradient(t), backend.stop_gradient(level)
    on = t > 0
    zeros = xp.zeros_like(z)
    v = zeros + xp.log(xp.where(on, t, xp.ones_like(t)))
    level = zeros[..., :1] + level
    inside, y = xp.where(on, z, zeros), xp.where(on, y, zeros)
    for _ in range(2):
        grown, shrunk = xp.exp((alpha - 1.0) * v), y * xp.exp((alpha - 2.0) * v)
        slope = alpha * grown + (2.0 - alpha) * shrunk
        point = xp.where(on, xp.exp(v), zeros)
        residual = deformed(xp, v, alpha) + grown - shrunk - (inside - level)
        residual = xp.where(on, residual, zeros)
        weight = point / slope
        total = xp.sum(weight, axis=-1, keepdims=True)
        some = total > 0
        gap = xp.sum(point, axis=-1, keepdims=True) - 1.0
        gap = gap - xp.sum(weight * residual, axis=-1, keepdims=True)
        step = xp.where(some, gap, zeros[..., :1]) / xp.where(some, total, zeros[..., :1] + 1.0)
        v = v - xp.where(on, (residual + step) / slope, zeros)
        level = level + step
    return Maximiser(xp.where(on, xp.exp(v), zeros), v, on, level)


def entropy_rows(problem: Problem, x: Array, y: Array, alpha: Any) -> Array:
    """Return the loss (..., 1) of scores `x` and dense targets `y`."""
    backend, xp = problem.backend, problem.backend.namespace
    z = shifted(backend, x, 1.0)
    out = out_of(backend, z)
    best = entropy_maximiser(backend, z, y, alpha)
    zeros = xp.zeros_like(z)
    z = xp.where(out, zeros, z)
    slope = _slope(xp, best, alpha)
    # <t - y, theta - lambda - phi'(t)>, of which the derivatives are taken: t is a maximiser
    impossible = xp.any(out & (y > 0), axis=-1, keepdims=True)  # t - y sums to 0 elsewhere
    level = xp.where(impossible, backend.stop_gradient(best.level), best.level)
    textbook = xp.where(out, zeros, (best.point - y) * (z - level - slope))
    textbook = xp.sum(textbook, axis=-1, keepdims=True)
    rows = backend.stop_gradient(_values(xp, best, z, y, slope, alpha, out))
    rows = bounded(problem, rows, y, out)
    if differentiates(backend):
        rows = corrected(problem, rows, textbook, out)
    return with_nan(problem, rows, x)


def _slope(xp: Any, best: Maximiser, alpha: Any) -> Array:
    """Return phi'(t) = log_alpha(t), -1/(alpha - 1) at 0."""
    if isinstance(alpha, float) and alpha == 1.0:
        return best.log_point
    log_t = xp.where(best.on, best.log_point, xp.zeros_like(best.log_point))
    return xp.where(best.on, deformed(xp, log_t, alpha), _slope_at_zero(xp, log_t, alpha))


def _slope_at_zero(xp: Any, like: Array, alpha: Any) -> Array:
    """Return -1/(alpha - 1); of no use, and 0, at alpha = 1."""
    if isinstance(alpha, float):
        return xp.full_like(like, -1.0 / (alpha - 1.0))
    one = alpha == 1.0
    return xp.where(one, xp.zeros_like(alpha), -1.0 / xp.where(one, alpha + 1.0, alpha - 1.0)) + (
        xp.zeros_like(like)
    )


def _values(
    xp: Any, best: Maximiser, z: Array, y: Array, slope: Array, alpha: Any, out: Array
) -> Array:
    """Return the sums of non-negative terms."""
    zeros = xp.zeros_like(z)
    difference = best.point - y
    usual = best.on & (best.point > 1e-3 * y)
    curvature = xp.exp((alpha - 2.0) * xp.where(usual, best.log_point, zeros))
    near = xp.where(usual, difference * curvature, zeros) * difference
    far = difference * (z - best.level - slope)
    far = xp.where(usual | out | (y == 0), zeros, far)
    return xp.sum(near + far, axis=-1, keepdims=True)


def logistic_index_rows(problem: Problem) -> Array:
    """Return the Fitzpatrick logistic loss of class indices, omega(s - 1)."""
    xp = problem.backend.namespace
    s, _, impossible = excess(problem)
    rows = with_nan(problem, xp.where(impossible, s, wright_omega(s - 1.0)), s)
    return impossible_rows(xp, rows, impossible)


def logistic_softmax_rows(xp: Any, own: Array, rest: Array) -> tuple[Array, Array, Array]:
    """Return the same loss and gradient from sums of exponentials; see `_softmax_rows`."""
    absent, alone = own == float("-inf"), rest == 0
    safe = xp.where(alone, xp.ones_like(rest), rest)
    s = xp.where(alone, xp.full_like(own, float("-inf")), xp.log(safe) - own)
    rows = xp.where(absent, xp.full_like(s, float("inf")), wright_omega(s - 1.0))
    share = _share(xp, rows)
    return rows, share / safe, xp.where(absent, xp.zeros_like(share), -share)


def _share(xp: Any, f: Array) -> Array:
    """Return F/(1 + F), 1 at inf."""
    large = f > 1.0
    inverse = 1.0 / xp.where(large, f, xp.ones_like(f))
    small = xp.where(large, xp.zeros_like(f), f)
    return xp.where(large, 1.0 / (1.0 + inverse), small / (1.0 + small))


def logistic_index_gradient(problem: Problem) -> Array:
    """Return t - e_k: F/(1 + F) times the softmax over the other classes, minus that at k."""
    backend, xp = problem.backend, problem.backend.namespace
    s, rest, impossible = excess(problem)
    f = impossible_rows(xp, wright_omega(s - 1.0), impossible)
    share = _share(xp, f)
    weights = xp.exp(shifted(backend, rest, 1.0))
    total = xp.sum(weights, axis=-1, keepdims=True)
    others = share * weights / xp.where(total == 0, xp.ones_like(total), total)
    index: Any = problem.classes
    places = xp.arange(rest.shape[-1], device=backend.device_of(rest), dtype=index.dtype)
    own = xp.where(impossible, xp.zeros_like(share), -share)
    return xp.where(places == index, own, others)
