"""The temperature at which the relaxed top-k mask has a wanted number of active entries."""

from __future__ import annotations

from typing import Any

from ..arrays import axis_back, check_number, narrow
from ..convex.thresholds import bisect, conjugate_exponent, power, row_statistics, steps_for, stop
from ._arguments import prepare
from .topk_mask import check_k, check_p

__all__ = ["topk_temperature"]

Array = Any


def topk_temperature(
    x: Array, k: Any, *, active: int, p: float = 2.0, axis: int = -1, where: Array | None = None
) -> Array:
    r"""Largest temperature at which `topk_mask` has at most `active` entries above 0.

    At that temperature the entry of rank ``active + 1`` is just at the threshold, so that l solves
    :math:`\sum_i \mathrm{clip}((x_i - x_{(active+1)})/l, 0, 1)^{q-1} = k`.

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype.
    k : number or array (..., 1)
        Budget of the mask, in [0, active].
    active : int
        Wanted size of the support, at least `k`; from n on the temperature is infinite, at which
        the mask is k/n everywhere.
    p : float
        Exponent of the regularizer, in (1, 2].
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part.

    Returns
    -------
    array (..., 1)
        One temperature a row (size 1 along `axis`): 0 where ties leave no positive one, inf where
        every temperature will do (no more than `active` entries take part, or `k` is 0, or entries
        of +inf take all of it). It can be passed to `topk_mask` as it is.

    Raises
    ------
    TypeError
        If `x` is not a floating array or `active` not an integer.
    ValueError
        If `k` is outside [0, n], `active` is below `k`, or `p` is outside (1, 2].

    Notes
    -----
    *Derivatives*: in `x` and `k`, wherever the order of the scores is locally constant.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import topk_mask, topk_temperature
    >>> x = np.asarray([3.0, 1.0, 0.5, 2.0])
    >>> temperature = topk_temperature(x, 1, active=2)
    >>> temperature
    array([3.])
    >>> topk_mask(x, 1, temperature=temperature)
    array([0.66666667, 0.        , 0.        , 0.33333333])
    """
    ready = prepare(x, axis, where, (k,))
    backend, scores = ready.backend, ready.x
    xp = backend.namespace
    k = check_k(backend, k, x, ready.axis)
    q = conjugate_exponent(check_p(p))
    if isinstance(active, bool) or not hasattr(active, "__index__"):
        raise TypeError(f"`active` must be an integer; got {type(active).__qualname__}")
    check_number("active", active, minimum=k if isinstance(k, float) else 0)
    n = scores.shape[-1]
    if active >= n:
        result = xp.full_like(scores[..., :1], float("inf"))
    else:
        result = _root(backend, scores, k, int(active), q)
    nan = xp.any(xp.isnan(backend.stop_gradient(scores)), axis=-1, keepdims=True)
    result = xp.where(nan, xp.full_like(result, float("nan")), result)
    return axis_back(xp, narrow(xp, result, ready.info, ready.dtype), ready.axis)


def _root(backend: Any, x: Array, k: Any, active: int, q: float) -> Array:
    """Solve for the strength l by bisection on detached data, then correct it with live scores."""
    xp = backend.namespace
    order = xp.argsort(backend.stop_gradient(x), axis=-1, descending=True, stable=True)
    ordered = xp.take_along_axis(x, order, axis=-1)[..., : active + 1]
    height, left, last = _finite_part(backend, ordered, k)
    data, budget = backend.stop_gradient(height), stop(backend, left)
    # Nothing is left to share out, or there is no further entry: any temperature will do.
    unbounded = (budget <= 0) & (last < float("inf")) | (last == float("-inf"))
    budget = xp.where(budget > 0, budget, xp.ones_like(budget))

    def share(heights: Array, strength: Array) -> Array:
        u = heights / strength
        return power(xp, xp.where(u < 1, u, xp.ones_like(u)), q - 1.0)

    _, _, kth, _ = row_statistics(xp, data, budget)
    solvable = (kth > 0) & ~unbounded
    # Below the k-th gap the mask is hard; at the total height over k it sums to at most k.
    high = xp.sum(data, axis=-1, keepdims=True) + kth
    high = high * xp.maximum(xp.ones_like(high), active / budget) ** (1.0 / (q - 1.0))
    found = bisect(
        backend,
        lambda strength: xp.sum(share(data, strength), axis=-1, keepdims=True) >= budget,
        xp.where(solvable, kth, xp.full_like(high, 0.5)),
        xp.where(solvable, high, xp.ones_like(high)),
        steps_for(x),
    )
    strength = backend.stop_gradient(found)
    free = (data < strength) & (data > 0)
    tied = xp.astype(data >= strength, x.dtype)
    height = xp.where(free, height, xp.zeros_like(height))
    for _ in range(2):
        u = power(xp, height / strength, q - 1.0)
        mass = xp.sum(u, axis=-1, keepdims=True)
        excess = mass + xp.sum(tied, axis=-1, keepdims=True) - left
        slope = (q - 1.0) * mass / strength
        moves = slope > 0
        safe = xp.where(moves, slope, xp.ones_like(slope))
        strength = strength + xp.where(moves, excess / safe, xp.zeros_like(slope))
    strength = xp.where(solvable, strength, xp.zeros_like(strength))
    return xp.where(unbounded, xp.full_like(strength, float("inf")), strength)


def _finite_part(backend: Any, ordered: Array, k: Any) -> tuple[Array, Array, Array]:
    """Return heights above the last entry, what entries of +inf leave of k, and the last entry.

    The heights are those of the finite entries but the last, 0 elsewhere; entries of +inf are
    saturated at every temperature.
    """
    xp = backend.namespace
    data = backend.stop_gradient(ordered)
    last = data[..., -1:]
    first = xp.sum(xp.astype(data == float("inf"), data.dtype), axis=-1, keepdims=True)
    inside = xp.isfinite(data) & xp.isfinite(last)
    height = xp.where(inside, ordered, xp.zeros_like(ordered))
    height = (height - height[..., -1:])[..., :-1]
    return (
        xp.where(inside[..., :-1], height, xp.zeros_like(height)),
        xp.zeros_like(first) + k - first,
        last,
    )
