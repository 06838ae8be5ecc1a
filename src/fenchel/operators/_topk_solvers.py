"""The three ways to solve relaxed top-k: one threshold, pooling (PAV), alternating projections.

All end in the same formula. PAV on the sorted row finds the same threshold, as the value of the one
block around the positions k and k + 1; Dykstra (p = 2) solves the isotonic problem of the sorted
row itself and is kept for comparison: it may stop early, and says so.
"""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice
from ..backend import structure_kernel
from ..convex.isotonic import isotonic_regression
from ..convex.magnitude import magnitude_formula, magnitude_threshold
from ..convex.thresholds import (
    ThresholdInfo,
    conjugate_exponent,
    mask_formula,
    mask_threshold,
    steps_for,
)
from ._topk_info import Solution

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
    if solver == "dykstra":
        return _dykstra_mask(backend, x, k, temperature, max_iter)
    if solver == "pav":
        passes: list[Any] = []
        y, parts = mask_formula(backend, x, k, temperature, q, root=_pav_root(backend, 0.0, passes))
        return Solution(y, parts, passes[0])
    root = _reference(backend, mask_threshold)
    y, parts = mask_formula(backend, x, k, temperature, q, root=root)
    return Solution(y, parts, steps_for(x))


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
    if solver == "dykstra":
        return _dykstra_magnitude(backend, x, k, temperature, max_iter, debias)
    if solver == "pav":
        passes: list[Any] = []
        root = _pav_root(backend, 1.0, passes)
        y, parts = magnitude_formula(backend, x, k, temperature, p, debias=debias, root=root)
        return Solution(y, parts, passes[0])
    root = _reference(backend, magnitude_threshold)
    y, parts = magnitude_formula(backend, x, k, temperature, p, debias=debias, root=root)
    return Solution(y, parts, steps_for(x))


def _reference(backend: Any, kernel: Any) -> Any:
    """The array-API kernel: it alone knows how many passes it makes."""
    return lambda *arguments: kernel(backend, *arguments)


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
        reach = temperature * xp.where(threshold > 0, threshold, 0 * threshold) ** (p - 1.0)
    else:
        threshold, reach = mask_threshold(backend, s, k, temperature, q), temperature
    pooled = (s > threshold) & (s < threshold + reach)
    size = xp.sum(xp.astype(pooled, xp.int32), axis=-1, keepdims=True, dtype=xp.int32)
    return threshold, xp.maximum(size - 1, xp.zeros_like(size))


def _weights(xp: Any, x: Array, k: Any) -> Array:
    """Return the weights (1, ..., 1, fraction of k, 0, ...) of a real k."""
    places = xp.astype(xp.arange(x.shape[-1], device=x.device), x.dtype)
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
    w = _weights(xp, x, k)
    v, info = isotonic_regression(
        s - temperature * w,
        increasing=False,
        solver="dykstra",
        max_iter=max_iter,
        return_info=True,
    )
    y = xp.take_along_axis((s - v) / temperature, undo, axis=-1)
    data = backend.stop_gradient(y)
    free = (data > 0) & (data < 1)
    parts = ThresholdInfo(_threshold(xp, backend, x, data, temperature), free, data >= 1)
    return Solution(y, parts, info.iterations)


def _threshold(xp: Any, backend: Any, x: Array, y: Array, temperature: Any) -> Array:
    """Return the mean of x - l y over the free entries: what a threshold would be."""
    free = (y > 0) & (y < 1)
    data = backend.stop_gradient(x)
    tau = xp.where(free, data - temperature * y, xp.zeros_like(data))
    count = xp.sum(xp.astype(free, x.dtype), axis=-1, keepdims=True)
    return xp.sum(tau, axis=-1, keepdims=True) / xp.maximum(count, xp.ones_like(count))


def _dykstra_magnitude(
    backend: Any, x: Array, k: Any, temperature: Any, max_iter: int | None, debias: bool
) -> Solution:
    """Magnitude for p = 2: raw = (s - v)/l, v the fit of s/(1 + l w) with weights 1/l + w."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    sign = xp.where(data < 0, -xp.ones_like(data), xp.ones_like(data))
    s, undo = _sorted(xp, backend, x * sign)
    w = _weights(xp, x, k)
    weights = 1.0 / temperature + w
    v, info = isotonic_regression(
        s / (1.0 + temperature * w),
        weights=weights,
        increasing=False,
        solver="dykstra",
        max_iter=max_iter,
        return_info=True,
    )
    raw = (s - v) / temperature
    y = raw + (s - v) if debias else raw
    y, raw, fit = (xp.take_along_axis(a, undo, axis=-1) for a in (y, raw, v))
    size = backend.stop_gradient(raw)
    free = (size > 0) & (size < backend.stop_gradient(fit))
    off = size <= 0
    inside = xp.where(free, backend.stop_gradient(fit), xp.zeros_like(size))
    threshold = xp.max(inside, axis=-1, keepdims=True)
    return Solution(y * sign, ThresholdInfo(threshold, free, ~free & ~off), info.iterations)
