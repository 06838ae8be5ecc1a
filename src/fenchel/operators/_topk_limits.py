r"""Relaxed top-k at infinite temperature: the limits of the formulas, which divide by it.

Mask: for finite scores tau = -l (k/n)^(p-1) + O(1), so that every share tends to k/n. Entries of
+inf come first at every temperature, and so in the limit; the others share what they leave.

Magnitude: as l grows theta ~ sum s^(q-1) / (k l^(q-1)) tends to 0, and with it u^(q-1) = ((s -
theta)/l)^(q-1). What is kept raw tends to 0, what is kept debiased, s - theta + u^(q-1) or s, to s:
the debiased operator is the identity for k > 0. Infinite entries are saturated throughout, and
where there are k of them or more nothing else is kept.
"""

from __future__ import annotations

from typing import Any

from ..convex.thresholds import ThresholdInfo, stop

__all__ = ["flat_magnitude", "flat_magnitude_parts", "flat_mask", "flat_mask_parts"]

Array = Any


def flat_mask(backend: Any, x: Array, k: Any) -> Array:
    """Return the mask at infinite temperature, with its derivative in `k` and that of 0 in `x`."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    first, rest = data == float("inf"), xp.isfinite(data)
    leading, others = _count(xp, first, x), _count(xp, rest, x)
    share = xp.where(first, _share(xp, k, leading), _share(xp, k - leading, others))
    y = xp.where(first | rest, share, xp.zeros_like(x))
    return _nan_rows(xp, data, y + 0.0 * xp.where(rest, x, xp.zeros_like(x)))


def flat_mask_parts(backend: Any, x: Array, k: Any, y: Array) -> ThresholdInfo:
    """Return threshold and sets of `flat_mask`, whose value is `y`."""
    xp = backend.namespace
    y = backend.stop_gradient(y)
    none = xp.zeros_like(y[..., :1]) + stop(backend, k) <= 0
    least = xp.full_like(y[..., :1], float("-inf"))
    threshold = xp.where(none, -least, least)
    return ThresholdInfo(_nan_rows(xp, y, threshold), (y > 0) & (y < 1), y >= 1)


def flat_magnitude(backend: Any, x: Array, k: Any, debias: bool) -> Array:
    """Return the top-k in magnitude at infinite temperature."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    infinite = xp.abs(data) == float("inf")
    zeros = xp.zeros_like(x)
    # 0 times x, and not 0, so that x has a derivative wherever there is one to ask for.
    raw = x if debias else zeros + 0.0 * xp.where(infinite, zeros, x)
    budget = zeros[..., :1] + stop(backend, k)
    kept = xp.where(infinite, x, xp.where(budget > _count(xp, infinite, data), raw, zeros))
    return _nan_rows(xp, data, xp.where(budget > 0, kept, zeros))


def flat_magnitude_parts(backend: Any, x: Array, k: Any) -> ThresholdInfo:
    """Return threshold and sets of `flat_magnitude`; nothing is saturated unless everything is."""
    xp = backend.namespace
    data = backend.stop_gradient(x)
    zeros = xp.zeros_like(data[..., :1])
    budget = zeros + stop(backend, k)
    infinite, on = xp.abs(data) == float("inf"), (data != 0) & (budget > 0)
    on = on & (infinite | (budget > _count(xp, infinite, data)))
    saturated = on & (infinite | (budget >= _count(xp, data != 0, data)))
    threshold = xp.where(budget > 0, zeros, xp.full_like(zeros, float("inf")))
    return ThresholdInfo(_nan_rows(xp, data, threshold), on & ~saturated, saturated)


def _count(xp: Any, chosen: Array, like: Array) -> Array:
    """Return how many are chosen a row, in the dtype of `like`."""
    return xp.sum(xp.astype(chosen, like.dtype), axis=-1, keepdims=True)


def _share(xp: Any, k: Any, count: Array) -> Array:
    """Return what each of `count` entries gets of k, in [0, 1]."""
    share = k / xp.where(count > 0, count, xp.ones_like(count))
    return xp.minimum(xp.maximum(share, xp.zeros_like(share)), xp.ones_like(share))


def _nan_rows(xp: Any, data: Array, y: Array) -> Array:
    """Return `y` with NaN in the rows where `data` has one."""
    nan = xp.any(xp.isnan(data), axis=-1, keepdims=True)
    return xp.where(nan, xp.full_like(y, float("nan")), y)
