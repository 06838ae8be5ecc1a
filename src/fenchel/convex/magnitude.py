r"""Relaxed top-k in magnitude: the gradient of the regularised k-support norm, by one threshold.

With s = |x| and the dual threshold theta (arXiv 2302.01425), an entry is

    saturated  if s >= theta + l theta^(p-1),   free  if theta < s below that,   off  if s <= theta,

and theta is the root of #saturated + sum_free ((s - theta)/l)^(q-1) / theta = k. The share of a
free entry is y = u^(q-1) / theta with u = (s - theta)/l; the operator returns

    raw       u^(q-1)             on the free set,  v with v + l v^(p-1) = s  where saturated,
    debiased  s - theta + u^(q-1) on the free set,  s                         where saturated.

As in `thresholds`, theta is found on detached data and corrected by Newton steps on the equation
multiplied by theta, which for p = 2 is linear on a fixed support.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import compiled
from ..kernels import structure_kernel
from .thresholds import (
    ThresholdInfo,
    bisect,
    conjugate_exponent,
    power,
    row_statistics,
    steps_for,
    stop,
)

__all__ = ["magnitude_formula", "magnitude_threshold", "saturated_value"]

Array = Any


@compiled("p", "debias")
def magnitude_formula(
    backend: Any,
    x: Array,
    k: Any,
    temperature: Any,
    p: float,
    *,
    debias: bool,
    root: Callable[..., Array] | None = None,
) -> tuple[Array, ThresholdInfo]:
    """Return the relaxed top-k in magnitude of the rows of `x`, and its parts.

    Parameters
    ----------
    backend
        Adapter of the library of `x`.
    x
        Scores, shape (..., n).
    k, temperature
        Numbers or arrays (..., 1); `temperature` positive.
    p
        Exponent of the regularizer, in (1, 2].
    debias
        Whether kept entries are returned exactly.
    root
        Function of (s, k, temperature, p) that finds theta; by default the kernel.

    Returns
    -------
    y : array (..., n)
        Sparse vector with exact derivatives in `x`, `k` and `temperature`.
    info : ThresholdInfo
        Threshold, free set and saturated set, as constants.
    """
    xp = backend.namespace
    data = backend.stop_gradient(x)
    sign = xp.where(data < 0, -xp.ones_like(data), xp.ones_like(data))
    s, size = x * sign, xp.abs(data)
    k0, l0 = stop(backend, k), stop(backend, temperature)
    find = root or structure_kernel(backend, "magnitude_threshold", magnitude_threshold, size)
    found = backend.stop_gradient(find(size, k0, l0, p))
    saturated, free = _sets(xp, size, found, l0, p)
    known = xp.isfinite(found)
    theta = xp.where(known, found, xp.zeros_like(found))
    count = xp.sum(xp.astype(saturated, x.dtype), axis=-1, keepdims=True)
    q = conjugate_exponent(p)
    for _ in range(1 if p == 2.0 else 2):
        theta = _newton_step(xp, s, free, theta, count - k, temperature, q)
    gap = _gap(xp, s, free, theta)
    y = power(xp, gap / temperature, q - 1.0)
    zeros = xp.zeros_like(x)
    if debias:
        y = xp.where(free, gap + y, zeros)
        kept = s
    else:
        y = xp.where(free, y, zeros)
        kept = saturated_value(backend, xp.where(saturated, s, xp.ones_like(s)), temperature, p)
    y = xp.where(saturated | free, xp.where(saturated, kept, y) * sign, zeros)
    nan = xp.isnan(found)
    y = xp.where(nan, xp.full_like(y, float("nan")), y)
    return y, ThresholdInfo(found, free, saturated)


def _sets(xp: Any, s: Array, theta: Array, temperature: Any, p: float) -> tuple[Array, Array]:
    """Saturated and free entries for a threshold, at or below which entries are off.

    The test of saturation alone would let rounding keep them, where l is tiny.
    """
    edge = theta + temperature * power(
        xp, xp.where(theta > 0, theta, xp.zeros_like(theta)), p - 1.0
    )
    edge = xp.where(xp.isfinite(theta), edge, theta)
    saturated = (s >= edge) & (s > theta) & xp.isfinite(theta)
    return saturated, (s > theta) & ~saturated


def _gap(xp: Any, s: Array, free: Array, theta: Array) -> Array:
    """Return s - theta on the free set, 0 elsewhere (no infinity reaches a derivative)."""
    inside = xp.where(free, s, xp.zeros_like(s))
    return xp.where(free, inside - theta, xp.zeros_like(s))


def _newton_step(
    xp: Any, s: Array, free: Array, theta: Array, excess: Any, temperature: Any, q: float
) -> Array:
    """One Newton step on theta (#saturated - k) + sum_free u^(q-1) = 0."""
    u = _gap(xp, s, free, theta) / temperature
    total = theta * excess + xp.sum(power(xp, u, q - 1.0), axis=-1, keepdims=True)
    below = xp.where(free, power(xp, u, q - 2.0), xp.zeros_like(u))
    slope = excess - xp.sum(below, axis=-1, keepdims=True) * (q - 1.0) / temperature
    moves = xp.any(free, axis=-1, keepdims=True) & (slope < 0)
    safe = xp.where(moves, slope, xp.ones_like(slope))
    return theta - xp.where(moves, total / safe, xp.zeros_like(theta))


def saturated_value(backend: Any, s: Array, temperature: Any, p: float) -> Array:
    """Return v >= 0 with v + l v^(p-1) = s, entry by entry, for s > 0.

    In w = log v the left side is convex and increasing, so Newton from the right is monotone.
    """
    if p == 2.0:
        return s / (1.0 + temperature)
    xp = backend.namespace
    size, strength = backend.stop_gradient(s), stop(backend, temperature)
    strength = xp.zeros_like(size) + strength
    w = xp.minimum(xp.log(size), (xp.log(size) - xp.log(strength)) / (p - 1.0))
    for _ in range(10):
        v, bend = xp.exp(w), strength * xp.exp((p - 1.0) * w)
        w = w - (v + bend - size) / (v + (p - 1.0) * bend)
    v = backend.stop_gradient(xp.exp(w))
    for _ in range(2):
        bend = temperature * v ** (p - 1.0)
        v = v - (v + bend - s) / (1.0 + (p - 1.0) * bend / v)
    return v


def magnitude_threshold(backend: Any, s: Array, k: Any, temperature: Any, p: Any) -> Array:
    """Reference kernel: the dual threshold, by bisection below the order statistic s_(k+1)."""
    xp = backend.namespace
    zeros = xp.zeros_like(s[..., :1])
    k, temperature = zeros + k, zeros + temperature
    q = conjugate_exponent(p)
    _, _, kth, following = row_statistics(xp, s, k)
    nonzeros = xp.sum(xp.astype(s > 0, s.dtype), axis=-1, keepdims=True)

    def above(theta: Array) -> Array:
        saturated, free = _sets(xp, s, theta, temperature, p)
        u = _gap(xp, s, free, theta) / temperature
        share = power(xp, u, q - 1.0) + theta * xp.astype(saturated, s.dtype)
        return xp.sum(share, axis=-1, keepdims=True) >= k * theta

    edge = following + temperature * power(xp, following, p - 1.0)
    hard = (kth >= edge) & (k == xp.floor(k))
    theta = bisect(backend, above, zeros, following, steps_for(s))
    theta = xp.where(hard, following, theta)
    theta = xp.where(k >= nonzeros, zeros, theta)
    theta = xp.where(k <= 0, xp.full_like(theta, float("inf")), theta)
    nan = xp.any(xp.isnan(s), axis=-1, keepdims=True)
    return xp.where(nan, xp.full_like(theta, float("nan")), theta)
