"""Slacks of maximisers, and what entries count as 0."""

from __future__ import annotations

from typing import Any

__all__ = ["below_normal", "capped_slack", "interval_slack", "simplex_slack"]

Array = Any


def below_normal(xp: Any, p: Array) -> Array:
    """Whether an entry counts as 0."""
    return p < float(xp.finfo(p.dtype).smallest_normal)


def simplex_slack(backend: Any, z: Array, point: Array, slope: Array) -> Array:
    """Return tau + phi'(0) - z where the point is 0, for `slope` = phi'(point)."""
    xp = backend.namespace
    data, p = backend.stop_gradient(z), backend.stop_gradient(point)
    out = data == float("-inf")
    zeros = xp.zeros_like(z)
    z = xp.where(out, zeros, z)
    # The largest entry determines tau best.
    top = xp.argmax(p, axis=-1, keepdims=True)
    tau = xp.take_along_axis(z - slope, top, axis=-1)
    slack = xp.where(below_normal(xp, p) & ~out, tau + slope - z, zeros)
    return xp.where(slack < 0, zeros, slack)


def capped_slack(backend: Any, rest: Array, point: Array, out: Array, high: float) -> Array:
    """Return grad Psi(point) - z + tau on {0 <= p <= high, sum p = k}, given grad Psi(point) - z.

    tau makes it 0 on the free entries, at least 0 at the entries of 0, at most 0 at those of
    `high`; it is found at the most interior entry, or between the bounds if there is none.
    """
    xp = backend.namespace
    p = backend.stop_gradient(point)
    low, top = below_normal(xp, p) & ~out, p >= high
    free = ~(low | top | out)
    inner = xp.where(free, xp.minimum(p, high - p), xp.zeros_like(p))
    place = xp.argmax(inner, axis=-1, keepdims=True)
    inside = -xp.take_along_axis(rest, place, axis=-1)
    infinity = xp.full_like(rest, float("inf"))
    lowest = xp.min(xp.where(low, rest, infinity), axis=-1, keepdims=True)
    highest = xp.max(xp.where(top, rest, -infinity), axis=-1, keepdims=True)
    edge = xp.where(xp.isfinite(lowest), -lowest, -highest)
    edge = xp.where(xp.isfinite(edge), edge, xp.zeros_like(edge))
    tau = xp.where(xp.any(free, axis=-1, keepdims=True), inside, edge)
    zeros = xp.zeros_like(rest)
    slack = rest + tau
    slack = xp.where(low & (slack > 0), slack, xp.where(top & (slack < 0), slack, zeros))
    return xp.where(xp.isnan(p), rest, slack)


def interval_slack(backend: Any, rest: Array, point: Array, out: Array, high: float) -> Array:
    """Return grad Psi(point) - z where a bound of 0 <= p <= high holds, 0 elsewhere."""
    xp = backend.namespace
    p = backend.stop_gradient(point)
    zeros = xp.zeros_like(rest)
    held = (below_normal(xp, p) & (rest > 0)) | ((p >= high) & (rest < 0))
    slack = xp.where(held & ~out, rest, zeros)
    return xp.where(xp.isnan(p), rest, slack)
