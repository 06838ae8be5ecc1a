"""The three ways to solve relaxed top-k: one threshold, pooling (PAV), alternating projections.

All end in the same formula. PAV on the sorted row finds the same threshold, as the value of the one
block around the positions k and k + 1; Dykstra (p = 2) solves the isotonic problem of the sorted
row itself and is kept for comparison: it may stop early, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice
from ..convex.isotonic import isotonic_regression
from ..convex.magnitude import magnitude_formula, magnitude_threshold
from ..convex.thresholds import (
    ThresholdInfo,
    conjugate_exponent,
    mask_formula,
    mask_threshold,
)
from ..kernels import structure_kernel
from ._topk_info import TINY, Solution
from ._topk_limits import flat_magnitude, flat_magnitude_parts, flat_mask, flat_mask_parts

__all__ = ["check_solver", "solve_magnitude", "solve_mask"]

Array = Any

SOLVERS = ("auto", "threshold", "pav", "dykstra")


def check_solver(solver: str, p: float) -> None:
    """Raise ValueError unless `solver` is known and can solve for `p`."""
    check_choice("solver", solver, SOLVERS)
    if solver == "dykstra" and p != 2.0:
        raise ValueError(f"`solver` 'dykstra' needs p=2; got p={p:g}")


def solve_mask(
    backend: Any, x: Array, k: Any, temperature: Any, q: float, solver: str, max_iter: int | None
) -> Solution:
    """Return the mask by the chosen solver, with what its information needs."""

    def soft(temperature: Any) -> Solution:
        if solver == "dykstra":
            return _dykstra_mask(backend, x, k, temperature, max_iter)
        passes: list[Any] = []
        root = _pav_root(backend, 0.0, passes) if solver == "pav" else None
        y, parts = mask_formula(backend, x, k, temperature, q, root=root)
        return Solution(y, parts, passes[0] if passes else _corrections(q))

    def flat() -> Solution:
        y = flat_mask(backend, x, k)
        return Solution(y, flat_mask_parts(backend, x, k, y), 0)

    return _with_limit(backend, temperature, soft, flat)


def solve_magnitude(
    backend: Any,
    x: Array,
    k: Any,
    temperature: Any,
    p: float,
    solver: str,
    max_iter: int | None,
    debias: bool,
) -> Solution:
    """Return the top-k in magnitude by the chosen solver, with what its information needs."""

    def soft(temperature: Any) -> Solution:
        if solver == "dykstra":
            return _dykstra_magnitude(backend, x, k, temperature, max_iter, debias)
        passes: list[Any] = []
        root = _pav_root(backend, 1.0, passes) if solver == "pav" else None
        y, parts = magnitude_formula(backend, x, k, temperature, p, debias=debias, root=root)
        return Solution(y, parts, passes[0] if passes else _corrections(p))

    def flat() -> Solution:
        y = flat_magnitude(backend, x, k, debias)
        return Solution(y, flat_magnitude_parts(backend, x, k), 0)

    return _with_limit(backend, temperature, soft, flat)


def _corrections(exponent: float) -> int:
    """Return the number of Newton corrections of a root: the equation is linear for p = q = 2."""
    return 1 if exponent == 2.0 else 2


def _with_limit(
    backend: Any, temperature: Any, soft: Callable[[Any], Solution], flat: Callable[[], Solution]
) -> Solution:
    """Return `soft(temperature)`, and `flat()` in the rows where the temperature is infinite."""
    if isinstance(temperature, float):
        return flat() if temperature == float("inf") else soft(max(temperature, TINY))
    xp = backend.namespace
    infinite = temperature == float("inf")
    safe = xp.where(temperature <= 0, xp.full_like(temperature, TINY), temperature)
    found = soft(xp.where(infinite, xp.ones_like(temperature), safe))
    limit = flat()
    parts = zip(limit.parts, found.parts, strict=True)
    return found._replace(
        y=xp.where(infinite, limit.y, found.y),
        parts=ThresholdInfo(*(xp.where(infinite, *pair) for pair in parts)),
    )


def _pav_root(backend: Any, magnitude: float, passes: list[Any]) -> Any:
    """Return a root finder that sorts and pools; the number of merges is left in `passes`."""

    def root(x: Array, k: Any, temperature: Any, exponent: float) -> Array:
        xp = backend.namespace
        q = exponent if magnitude == 0.0 else conjugate_exponent(exponent)
        ordered = xp.sort(x, axis=-1, descending=True)
        kernel = structure_kernel(backend, "topk_pav_threshold", pav_threshold, ordered)
        threshold, merges = kernel(ordered, k, temperature, q, magnitude)
        passes.append(backend.stop_gradient(xp.squeeze(merges, axis=-1)))
        return threshold

    return root


def pav_threshold(
    backend: Any, s: Array, k: Any, temperature: Any, q: float, magnitude: float
) -> tuple[Array, Array]:
    """Reference kernel: the threshold with the size of the pooled block, merges = size - 1.

    The block is what lies strictly between saturated and off, so that the threshold tells it.
    """
    xp = backend.namespace
    if magnitude:
        p = conjugate_exponent(q)
        threshold = magnitude_threshold(backend, s, k, temperature, p)
        reach = temperature * xp.where(threshold > 0, threshold, xp.zeros_like(threshold)) ** (
            p - 1.0
        )
    else:
        threshold, reach = mask_threshold(backend, s, k, temperature, q), temperature
    pooled = (s > threshold) & (s < threshold + reach)
    size = xp.sum(xp.astype(pooled, xp.int32), axis=-1, keepdims=True, dtype=xp.int32)
    return threshold, xp.maximum(size - 1, xp.zeros_like(size))


def _weights(backend: Any, x: Array, k: Any) -> Array:
    """Return the weights (1, ..., 1, fraction of k, 0, ...) of a real k."""
    xp = backend.namespace
    places = xp.astype(xp.arange(x.shape[-1], device=backend.device_of(x)), x.dtype)
    w = xp.zeros_like(x[..., :1]) + k - places
    return xp.minimum(xp.maximum(w, xp.zeros_like(w)), xp.ones_like(w))


def _sorted(xp: Any, backend: Any, x: Array) -> tuple[Array, Array]:
    """Return x sorted descending, and the permutation that undoes it."""
    order = xp.argsort(backend.stop_gradient(x), axis=-1, descending=True, stable=True)
    return xp.take_along_axis(x, order, axis=-1), xp.argsort(order, axis=-1)


def _dykstra_mask(
    backend: Any, x: Array, k: Any, temperature: Any, max_iter: int | None
) -> Solution:
    """Mask for p = 2: y = (s - v)/l with v the decreasing fit of s - l w."""
    xp = backend.namespace
    s, undo = _sorted(xp, backend, x)
    w = _weights(backend, x, k)
    v, info = _dykstra_fit(s - temperature * w, None, max_iter)
    y = xp.take_along_axis((s - v) / temperature, undo, axis=-1)
    free, kept = (xp.take_along_axis(a, undo, axis=-1) for a in _sets(xp, backend, w, info.blocks))
    tau = _mask_threshold(xp, backend.stop_gradient(x), backend.stop_gradient(v), undo, free, kept)
    residual = info.residual / xp.squeeze(xp.zeros_like(y[..., :1]) + temperature, axis=-1)
    return Solution(y, ThresholdInfo(tau, free, kept), info.iterations, residual, info.converged)


def _dykstra_magnitude(
    backend: Any, x: Array, k: Any, temperature: Any, max_iter: int | None, debias: bool
) -> Solution:
    """Magnitude for p = 2: raw = (s - v)/l, v the fit of s/(1 + l w) with weights 1/l + w."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    sign = xp.where(data < 0, -xp.ones_like(data), xp.ones_like(data))
    s, undo = _sorted(xp, backend, x * sign)
    w = _weights(backend, x, k)
    v, info = _dykstra_fit(s / (1.0 + temperature * w), 1.0 / temperature + w, max_iter)
    raw = (s - v) / temperature
    y = raw + (s - v) if debias else raw
    free, kept = _sets(xp, backend, w, info.blocks)
    fit = backend.stop_gradient(v)
    theta = xp.max(xp.where(free, fit, xp.zeros_like(fit)), axis=-1, keepdims=True)
    y, free, kept = (xp.take_along_axis(a, undo, axis=-1) for a in (y, free, kept))
    kept = kept & (data != 0)
    parts = ThresholdInfo(theta, free & (data != 0), kept)
    return Solution(y * sign, parts, info.iterations, info.residual, info.converged)


def _dykstra_fit(y: Array, weights: Array | None, max_iter: int | None) -> tuple[Array, Any]:
    """Return the decreasing fit by alternating projections, and how it came about."""
    return isotonic_regression(
        y,
        weights=weights,
        increasing=False,
        solver="dykstra",
        max_iter=max_iter,
        return_info=True,
    )


def _sets(xp: Any, backend: Any, w: Array, blocks: Array) -> tuple[Array, Array]:
    """Return the free and the saturated entries of the sorted row.

    Free are the entries of a pooled block, and one whose weight is a fraction; of the others those
    of weight 1 are saturated. (Values would tell them apart only up to rounding.)
    """
    w = xp.broadcast_to(backend.stop_gradient(w), blocks.shape)
    joined = blocks[..., 1:] == blocks[..., :-1]
    alone = joined[..., :1] & ~joined[..., :1] if joined.shape[-1] else blocks < blocks
    pooled = xp.concat((alone, joined), axis=-1) | xp.concat((joined, alone), axis=-1)
    if not joined.shape[-1]:
        pooled = alone
    free = pooled | ((w > 0) & (w < 1))
    return free, ~free & (w >= 1)


def _mask_threshold(xp: Any, x: Array, fit: Array, undo: Array, free: Array, kept: Array) -> Array:
    """Return the value of the fit on the free set, else the largest entry that is off."""
    v = xp.take_along_axis(fit, undo, axis=-1)
    least = xp.full_like(x, float("-inf"))
    inside = xp.max(xp.where(free, v, least), axis=-1, keepdims=True)
    outside = xp.max(xp.where(free | kept, least, x), axis=-1, keepdims=True)
    return xp.where(xp.any(free, axis=-1, keepdims=True), inside, outside)
