r"""Proximal points of conjugates, which dual solvers step to.

With mu = a + y the conjugate of a Fenchel-Young loss is Omega(mu) - Omega(y), so that

    argmin_a h*(a) - <scores, a> + tau/2 |a - center|^2  =  mu - y,
    mu = argmin_mu Omega(mu) + tau/2 |mu|^2 - <c, mu>,   c = scores + tau (center + y).

On the simplex a separable Omega gives phi'(mu_i) + tau mu_i = c_i - nu, two nested searches for a
root; quadratic ones are projections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import axis_last, check_dtype, widen
from ..convex.thresholds import bisect, steps_for
from ..kernels import reference_kernel
from ..parameters import check_array, row_parameter
from ..special import wright_omega
from ._problem import Problem

__all__ = ["open_prox", "shannon_prox", "simplex_prox", "unit_prox"]

Array = Any
Slope = Callable[[Array], Array]


def open_prox(
    loss: Any, scores: Array, center: Array, target: Array, tau: Any, axis: int
) -> tuple[Problem, Array, Any]:
    """Check the arguments; return the problem, scores + tau * center, and tau."""
    problem = loss._open(scores, target, axis)
    backend, xp = problem.backend, problem.backend.namespace
    check_array("center", center, backend)
    info = check_dtype("center", center)
    if tuple(center.shape) != tuple(scores.shape):
        raise ValueError(
            f"`center` must have the shape {tuple(scores.shape)} of `scores`; "
            f"got {tuple(center.shape)}"
        )
    middle = widen(xp, center, info)
    middle = middle if middle.dtype == problem.x.dtype else xp.astype(middle, problem.x.dtype)
    if problem.elementwise:
        middle = xp.expand_dims(middle, axis=-1)
        if hasattr(tau, "dtype"):
            tau = xp.expand_dims(tau, axis=-1)
        else:
            tau = row_parameter(backend, "tau", tau, scores, scores.ndim, above=0.0)
    else:
        middle = axis_last(xp, middle, problem.axis)
        tau = row_parameter(backend, "tau", tau, scores, problem.axis, above=0.0)
    return problem, problem.x + tau * middle, tau


def simplex_prox(backend: Any, c: Array, tau: Any, slope: Slope) -> Array:
    """Return mu on the simplex with slope(mu_i) + tau mu_i = c_i - nu where mu_i > 0.

    `slope` is a strictly increasing function of (0, 1]; entries with c_i - nu below its limit at 0
    are 0.
    """
    return reference_kernel(backend, _nested)(*_plain(backend, c, tau), slope)


def _nested(backend: Any, c: Array, tau: Array, slope: Slope) -> Array:
    xp = backend.namespace
    ones = xp.ones_like(c)
    tiny = ones * 0.5 ** steps_for(c)  # what a bisection resolves; slopes are finite there
    valid = c > float("-inf")
    c = xp.where(valid, c, xp.zeros_like(c))
    at_one, at_zero = slope(ones) + tau, slope(tiny)

    def entries(nu: Array) -> Array:
        u = c - nu

        def below(m: Array) -> Array:
            return slope(m) + tau * m < u

        mu = bisect(backend, below, xp.zeros_like(c), ones, steps_for(c))
        mu = xp.where(u >= at_one, ones, mu)
        return xp.where(valid & (u > at_zero), mu, xp.zeros_like(mu))

    def above(nu: Array) -> Array:
        return xp.sum(entries(nu), axis=-1, keepdims=True) >= 1.0

    # The largest entry is 1 at the lower end, and at least 1/n at the upper one.
    c_valid = xp.where(valid, c, xp.full_like(c, float("-inf")))
    low = xp.max(c_valid - at_one, axis=-1, keepdims=True)
    share = ones / c.shape[-1]
    high = xp.max(c_valid - slope(share) - tau * share, axis=-1, keepdims=True)
    empty = low == float("-inf")
    low = xp.where(empty, xp.zeros_like(low), low)
    high = xp.where(empty, low, xp.where(high > low, high, low))
    mu = entries(bisect(backend, above, low, high, steps_for(c)))
    total = xp.sum(mu, axis=-1, keepdims=True)
    return mu / xp.where(total > 0, total, xp.ones_like(total))


def shannon_prox(backend: Any, c: Array, tau: Any) -> Array:
    """Return mu of Shannon's entropy: mu_j = omega(c_j - nu + log tau)/tau, by Newton's method."""
    return reference_kernel(backend, _shannon)(*_plain(backend, c, tau))


def _shannon(backend: Any, c: Array, tau: Array) -> Array:
    xp = backend.namespace
    valid = c > float("-inf")
    top = xp.max(c, axis=-1, keepdims=True)
    top = xp.where(top == float("-inf"), xp.zeros_like(top), top)
    c = xp.where(valid, c - top, xp.zeros_like(c))

    def entries(nu: Array) -> Array:
        w = wright_omega(c - nu + xp.log(tau))
        return xp.where(valid, w / tau, xp.zeros_like(c))

    def body(_: Any, nu: Array) -> Array:
        mu = entries(nu)
        total = xp.sum(mu, axis=-1, keepdims=True)
        slope = xp.sum(mu / (1.0 + tau * mu), axis=-1, keepdims=True)
        safe = xp.where(slope > 0, slope, xp.ones_like(slope))
        return nu + xp.where(slope > 0, (total - 1.0) / safe, xp.zeros_like(slope))

    # The sum is convex and decreasing in nu, and at least 1 here: the steps go up to the root.
    nu = xp.zeros_like(top) - tau
    mu = entries(backend.fori_loop(0, 40, body, nu))
    total = xp.sum(mu, axis=-1, keepdims=True)
    return mu / xp.where(total > 0, total, xp.ones_like(total))


def unit_prox(backend: Any, c: Array, tau: Any, slope: Slope) -> Array:
    """Return m in [0, 1] with slope(m) + tau m = c, an end where there is none."""
    return reference_kernel(backend, _unit)(*_plain(backend, c, tau), slope)


def _unit(backend: Any, c: Array, tau: Array, slope: Slope) -> Array:
    def below(m: Array) -> Array:
        return slope(m) + tau * m < c

    xp = backend.namespace
    return bisect(backend, below, xp.zeros_like(c), xp.ones_like(c), steps_for(c))


def _plain(backend: Any, c: Array, tau: Any) -> tuple[Array, Array]:
    """Return constants, tau as an array (..., 1)."""
    xp = backend.namespace
    tau = xp.zeros_like(c[..., :1]) + tau
    return backend.stop_gradient(c), backend.stop_gradient(tau)
