"""What a top-k solution is made of, for callers that ask for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import axis_back, narrow
from ..convex.magnitude import saturated_value
from ..convex.thresholds import ThresholdInfo, conjugate_exponent, power
from ._arguments import Prepared

__all__ = ["TINY", "Solution", "TopKInfo", "finish_info", "magnitude_info", "mask_info"]

Array = Any

TINY = 1e-30  # a temperature of 0, for what is reported about a hard solution


class TopKInfo(NamedTuple):
    """Parts of a relaxed top-k solution; "rows" fields have the batch shape.

    Attributes
    ----------
    threshold
        Rows: the threshold, in units of `x`.
    support, saturated
        Booleans shaped like `x`: entries above 0, and entries kept whole.
    iterations
        Rows: steps of the named solver: Newton corrections of the threshold that the kernel finds
        (1 for p = 2, else 2), merges of PAV, or full cycles of Dykstra.
    residual
        Rows: distance of the sum of shares from `k`, clamped to the entries that can have one.
    value
        Rows: the optimal value, whose gradient in `x` the operator is.
    converged
        Rows: whether the residual is at rounding level.
    already_hard
        Rows: whether the solution is the hard one, so that `temperature` has no effect.
    """

    threshold: Array
    support: Array
    saturated: Array
    iterations: Array
    residual: Array
    value: Array
    converged: Array
    already_hard: Array


class Solution(NamedTuple):
    """A solution with its sets, how many passes it took, and what its solver says of itself.

    The sums that a mask must have are no test of Dykstra's iterates: they keep them throughout.
    """

    y: Array
    parts: ThresholdInfo
    iterations: Any
    residual: Any = None
    converged: Any = None


def mask_info(
    backend: Any, x: Array, k: Any, temperature: Any, p: float, found: Solution
) -> TopKInfo:
    """Parts of a mask; f_R(x) = <x, y> - (l/p) sum y^p, where y = 0 wins over x = -inf."""
    xp = backend.namespace
    y, (threshold, free, saturated) = found.y, found.parts
    on = y > 0
    linear = xp.where(on, y * xp.where(on, x, xp.zeros_like(x)), xp.zeros_like(x))
    # y = 0 wins over an infinite temperature too.
    strength = xp.where(on, xp.zeros_like(x) + temperature, xp.zeros_like(x))
    value = xp.sum(linear - power(xp, y, p) * strength / p, axis=-1)
    valid = xp.sum(xp.astype(x > float("-inf"), x.dtype), axis=-1, keepdims=True)
    wanted = xp.minimum(xp.zeros_like(valid) + k, valid)
    residual = xp.abs(xp.sum(y, axis=-1, keepdims=True) - wanted)
    return _assemble(xp, threshold, on, saturated, free, found, residual, wanted, value)


def magnitude_info(
    backend: Any, s: Array, k: Any, temperature: Any, p: float, found: Solution
) -> TopKInfo:
    """Parts of a top-k in magnitude, from the sizes s; the value is the dual objective at v.

    At infinite temperature the shares are those of the limit, and the value is 0.
    """
    xp = backend.namespace
    temperature, infinite = _usable(xp, temperature, found.parts.threshold)
    threshold, free, saturated = found.parts
    q = conjugate_exponent(p)
    theta = xp.where(xp.isfinite(threshold), threshold, xp.zeros_like(threshold))
    zeros = xp.zeros_like(s)
    v = saturated_value(backend, xp.where(saturated, s, zeros + 1.0), temperature, p)
    v = xp.where(saturated, v, xp.where(free, theta, s))
    on = free | saturated
    rest = xp.where(on, s - v, zeros)
    share = xp.where(free, power(xp, xp.where(free, rest, zeros) / temperature, q - 1.0), zeros)
    share = share / xp.where(theta > 0, theta, xp.ones_like(theta))
    y = xp.where(saturated, zeros + 1.0, share)
    # R*(rest) = rest (rest/l)^(q-1) / q, whose power is y v: nothing is divided by a small l^(q-1).
    value = xp.where(on, v, zeros)
    dual = y * value * (rest / q + value / 2)
    nonzeros = xp.sum(xp.astype(s > 0, s.dtype), axis=-1, keepdims=True)
    wanted = xp.minimum(xp.zeros_like(nonzeros) + k, nonzeros)
    residual = xp.abs(xp.sum(y, axis=-1, keepdims=True) - wanted)
    residual = xp.where(infinite, zeros[..., :1], residual)
    value = xp.sum(xp.where(infinite, zeros, dual), axis=-1)
    return _assemble(xp, threshold, on, saturated, free, found, residual, wanted, value)


def _usable(xp: Any, temperature: Any, like: Array) -> tuple[Any, Any]:
    """Return the temperature with 1 for inf and TINY for 0, and in which rows it is infinite."""
    none = like < like  # False, NaN or not
    if isinstance(temperature, float):
        infinite = temperature == float("inf")
        return (1.0 if infinite else max(temperature, TINY)), ~none if infinite else none
    infinite = temperature == float("inf")
    safe = xp.where(temperature <= 0, xp.full_like(temperature, TINY), temperature)
    return xp.where(infinite, xp.ones_like(temperature), safe), infinite | none


def _assemble(
    xp: Any,
    threshold: Array,
    support: Array,
    saturated: Array,
    free: Array,
    found: Solution,
    residual: Array,
    wanted: Array,
    value: Array,
) -> TopKInfo:
    tolerance = 32.0 * float(xp.finfo(residual.dtype).eps) * (1.0 + wanted)
    rows = xp.squeeze(threshold, axis=-1)
    converged = xp.squeeze(residual <= tolerance, axis=-1)
    residual = xp.squeeze(residual, axis=-1)
    if found.residual is not None:
        residual = xp.maximum(residual, found.residual)
        converged = converged & found.converged
    return TopKInfo(
        threshold=rows,
        support=support,
        saturated=saturated,
        iterations=xp.zeros_like(rows, dtype=xp.int32) + found.iterations,
        residual=residual,
        value=value,
        converged=converged,
        already_hard=~xp.any(free, axis=-1),
    )


def finish_info(ready: Prepared, info: TopKInfo) -> TopKInfo:
    """Bring the entries of `info` back to the caller's axis, its numbers to the caller's dtype."""
    xp = ready.backend.namespace
    return info._replace(
        threshold=narrow(xp, info.threshold, ready.info, ready.dtype),
        value=narrow(xp, info.value, ready.info, ready.dtype),
        residual=narrow(xp, info.residual, ready.info, ready.dtype),
        support=axis_back(xp, info.support, ready.axis),
        saturated=axis_back(xp, info.saturated, ready.axis),
    )
