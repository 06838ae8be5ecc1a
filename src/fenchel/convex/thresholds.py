r"""Separable problems over the capped simplex, solved by one threshold a row.

For 0/1 weights the permutahedron is {0 <= y <= 1, sum y = k}, for real k too, so that the relaxed
top-k mask is a function of one number tau (arXiv 2302.01425):

    y_i = clip((x_i - tau) / l, 0, 1)^(q-1),   tau the root of sum_i y_i = k.

The root is found on detached data, then corrected by Newton steps with live `x`, `k` and `l`: one
step makes first derivatives exact, two make them exact to order three (and for q = 2 the equation
is linear in tau on a fixed support, so one step is exact to every order).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import float_info
from ..backend import compiled
from ..kernels import structure_kernel

__all__ = [
    "ThresholdInfo",
    "bisect",
    "conjugate_exponent",
    "hard_mask",
    "mask_formula",
    "mask_threshold",
    "power",
    "row_constant",
    "row_statistics",
    "steps_for",
    "stop",
]

Array = Any


class ThresholdInfo(NamedTuple):
    """Parts of a thresholded solution, entry by entry and row by row (rows keep a last axis)."""

    threshold: Array
    free: Array
    saturated: Array


def stop(backend: Any, value: Any) -> Any:
    """Stop the gradient of an array; numbers pass."""
    return value if isinstance(value, float) else backend.stop_gradient(value)


def row_constant(backend: Any, value: Any, like: Array) -> Any:
    """Return a constant; of an array, one entry for each row of `like`, as solvers take them."""
    if isinstance(value, float):
        return value
    xp = backend.namespace
    return xp.broadcast_to(stop(backend, value), (*like.shape[:-1], 1))


def conjugate_exponent(p: float) -> float:
    """Return q = p/(p-1); 4/3 and 3/2 are no binary fractions, but their conjugates 4 and 3 are."""
    if p == 2.0:
        return 2.0
    q = p / (p - 1.0)
    return float(round(q)) if abs(q - round(q)) < 1e-9 else q


def power(xp: Any, base: Array, exponent: Any) -> Array:
    """Return base^exponent for base >= 0, with finite derivatives of every order where base is 0.

    The small integer powers of the usual p (q - 1 = 1, 2, 3) are products.
    """
    if isinstance(exponent, float) and exponent in (0.0, 1.0, 2.0, 3.0):
        result = xp.ones_like(base)
        for _ in range(int(exponent)):
            result = result * base
        return result
    positive = base > 0
    safe = xp.where(positive, base, xp.ones_like(base))
    return xp.where(positive, safe**exponent, xp.zeros_like(base))


@compiled("q")
def mask_formula(
    backend: Any,
    x: Array,
    k: Any,
    temperature: Any,
    q: float,
    *,
    root: Callable[..., Array] | None = None,
) -> tuple[Array, ThresholdInfo]:
    """Return the relaxed top-k mask of the rows of `x`, and its parts.

    Parameters
    ----------
    backend
        Adapter of the library of `x`.
    x
        Scores, shape (..., n); -inf entries are out, +inf entries come first.
    k, temperature
        Numbers or arrays (..., 1); `temperature` positive.
    q
        Conjugate exponent p/(p-1) of the regularizer.
    root
        Function of (x, k, temperature, q) that finds the threshold; by default the kernel.

    Returns
    -------
    y : array (..., n)
        The mask, with exact derivatives in `x`, `k` and `temperature`.
    info : ThresholdInfo
        Threshold, free set and saturated set, as constants.
    """
    xp = backend.namespace
    x, top = _centred(backend, x, temperature)
    detached = stop(backend, x), stop(backend, k), stop(backend, temperature)
    find = root or structure_kernel(backend, "mask_threshold", mask_threshold, x)
    found = stop(backend, find(*detached, q))
    height = (detached[0] - found) / detached[2]
    free, saturated = (height > 0) & (height < 1), height >= 1
    known = xp.isfinite(found)
    tau = xp.where(known, found, xp.zeros_like(found))
    count = xp.sum(xp.astype(saturated, x.dtype), axis=-1, keepdims=True)
    live = xp.where(free, x, xp.broadcast_to(tau, x.shape))
    for _ in range(1 if q == 2.0 else 2):
        tau = _newton_step(xp, live, free, tau, count - k, temperature, q)
    base = xp.where(free, (_on(xp, live, free, tau) - tau) / temperature, xp.zeros_like(x))
    y = xp.where(free, power(xp, base, q - 1.0), xp.astype(saturated, x.dtype))
    nan = xp.isnan(found)
    y = xp.where(nan, xp.full_like(y, float("nan")), y)
    return y, ThresholdInfo(found + top, free, saturated)


def _on(xp: Any, live: Array, free: Array, tau: Array) -> Array:
    """Return the live scores on the free set and the current threshold elsewhere."""
    return xp.where(free, live, xp.broadcast_to(tau, live.shape))


def _newton_step(
    xp: Any, live: Array, free: Array, tau: Array, excess: Any, temperature: Any, q: float
) -> Array:
    """One Newton step on sum_free u^(q-1) + excess = 0 in tau, u = (x - tau)/l."""
    zeros = xp.zeros_like(live)
    u = xp.where(free, (_on(xp, live, free, tau) - tau) / temperature, zeros)
    total = xp.sum(power(xp, u, q - 1.0), axis=-1, keepdims=True) + excess
    below = xp.where(free, power(xp, u, q - 2.0), zeros)
    slope = xp.sum(below, axis=-1, keepdims=True) * (q - 1.0) / temperature
    moves = slope > 0
    safe = xp.where(moves, slope, xp.ones_like(slope))
    return tau + xp.where(moves, total / safe, xp.zeros_like(slope))


def _centred(backend: Any, x: Array, temperature: Any) -> tuple[Array, Array]:
    """Return x relative to the largest finite score of its row, and that score as a constant.

    The mask does not change with such a shift, and rounding no longer grows with the offset. Scores
    of +inf become ones that saturate: they come first, and share k equally if there are too many.
    """
    xp = backend.namespace
    data = backend.stop_gradient(x)
    out, first = data == float("-inf"), data == float("inf")
    top = xp.max(xp.where(first, xp.full_like(data, float("-inf")), data), axis=-1, keepdims=True)
    top = xp.where(top == float("-inf"), xp.zeros_like(top), top)
    inside = xp.where(out | first, xp.broadcast_to(top, x.shape), x) - top
    beyond = xp.zeros_like(data) + stop(backend, temperature)
    inside = xp.where(first, beyond, inside)
    return xp.where(out, xp.full_like(data, float("-inf")), inside), top


def row_statistics(xp: Any, x: Array, k: Any) -> tuple[Array, Array, Array, Array]:
    """Return (sorted descending, k clamped to the valid entries, x_(ceil k), x_(floor k + 1)).

    The order statistics are clamped to the row, 0 where all of it is -inf; `x` is detached.
    """
    ordered = xp.sort(x, axis=-1, descending=True)
    valid = xp.sum(xp.astype(x > float("-inf"), x.dtype), axis=-1, keepdims=True)
    k = xp.minimum(xp.zeros_like(valid) + k, valid)
    inside = xp.where(valid > 0, valid - 1, valid)
    upper = xp.minimum(xp.maximum(xp.ceil(k) - 1, xp.zeros_like(k)), inside)
    lower = xp.minimum(xp.floor(k), inside)
    index = xp.arange(1).dtype  # int64, but for JAX as it comes
    at = [xp.take_along_axis(ordered, xp.astype(place, index), axis=-1) for place in (upper, lower)]
    kth, following = (xp.where(valid > 0, value, xp.zeros_like(value)) for value in at)
    return ordered, k, kth, following


def steps_for(x: Array) -> int:
    """Bisection steps that reach the rounding of the dtype from any bracket."""
    info = float_info(x.dtype)
    return 40 if info is not None and info.eps > 1e-10 else 70


def bisect(
    backend: Any, above: Callable[[Array], Array], low: Array, high: Array, steps: int
) -> Array:
    """Return the point where the decreasing predicate `above` turns false, row by row."""
    xp = backend.namespace

    def body(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = low + (high - low) / 2
        right = above(middle)
        return xp.where(right, middle, low), xp.where(right, high, middle)

    low, high = backend.fori_loop(0, steps, body, (low, high))
    return low + (high - low) / 2


def mask_threshold(backend: Any, x: Array, k: Any, temperature: Any, q: Any) -> Array:
    """Reference kernel: the threshold of the top-k mask, by bisection between order statistics."""
    xp = backend.namespace
    zeros = xp.zeros_like(x[..., :1])
    k, temperature = zeros + k, zeros + temperature
    _, k, kth, following = row_statistics(xp, x, k)
    least = xp.min(
        xp.where(x > float("-inf"), x, xp.full_like(x, float("inf"))), axis=-1, keepdims=True
    )
    valid = xp.sum(xp.astype(x > float("-inf"), x.dtype), axis=-1, keepdims=True)

    def above(tau: Array) -> Array:
        u = (x - tau) / temperature
        u = xp.minimum(xp.maximum(u, xp.zeros_like(u)), xp.ones_like(u))
        return xp.sum(power(xp, u, q - 1.0), axis=-1, keepdims=True) >= k

    hard = (kth - following >= temperature) & (k == xp.floor(k))
    tau = bisect(backend, above, following - temperature, kth, steps_for(x))
    tau = xp.where(hard, (kth - temperature + following) / 2, tau)
    tau = xp.where(k >= valid, least - temperature, tau)
    tau = xp.where((k <= 0) | (valid == 0), xp.full_like(tau, float("inf")), tau)
    return xp.where(
        xp.any(xp.isnan(x), axis=-1, keepdims=True), xp.full_like(tau, float("nan")), tau
    )


@compiled()
def hard_mask(backend: Any, x: Array, k: Any) -> Array:
    """Return the mask of the k largest entries; ties at the edge share what is left equally."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    _, clamped, kth, _ = row_statistics(xp, data, stop(backend, k))
    above = xp.astype((data > kth) & (data > float("-inf")), x.dtype)
    tied = xp.astype((data == kth) & (data > float("-inf")), x.dtype)
    left = (clamped if isinstance(k, float) else k) - xp.sum(above, axis=-1, keepdims=True)
    count = xp.sum(tied, axis=-1, keepdims=True)
    share = left / xp.where(count > 0, count, xp.ones_like(count))
    share = xp.minimum(xp.maximum(share, xp.zeros_like(share)), xp.ones_like(share))
    y = above + tied * share
    return xp.where(
        xp.any(xp.isnan(data), axis=-1, keepdims=True), xp.full_like(y, float("nan")), y
    )
