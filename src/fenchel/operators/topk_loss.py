"""The Fenchel-Young loss of the relaxed top-k mask."""

from __future__ import annotations

from typing import Any

from ..arrays import axis_last, check_choice, check_dtype, narrow, widen
from ..convex.thresholds import conjugate_exponent, mask_formula, power
from ..parameters import check_array, known_to
from ._arguments import prepare, temperature_of
from .topk_mask import check_k, check_p

__all__ = ["check_target", "reduce", "topk_loss"]

Array = Any


def topk_loss(
    scores: Array,
    target: Array,
    /,
    k: Any,
    *,
    temperature: Any = 1.0,
    p: float = 2.0,
    axis: int = -1,
    where: Array | None = None,
    reduction: str = "mean",
) -> Array:
    r"""Fenchel-Young loss whose prediction is `topk_mask`, for targets with k relevant entries.

    :math:`L(x, y) = f_R(x) + R(y) - \langle x, y \rangle \geq 0` with
    :math:`R(y) = \frac{l}{p} \sum_i y_i^p` and :math:`f_R(x) = \max_{y'} \langle x, y' \rangle -
    R(y')` over :math:`[0,1]^n, \sum y' = k`. Its gradient is ``topk_mask(x, k) - target``; it is 0
    exactly where that vanishes.

    Parameters
    ----------
    scores : array (..., n)
        Scores of a real floating dtype.
    target : array (..., n)
        Relevance in [0, 1], floating or boolean, summing to `k` over `axis`.
    k : number or array (..., 1)
        How many, in [0, n].
    temperature : number or array (..., 1)
        Strength l > 0 of the regularizer, finite.
    p : float
        Exponent in (1, 2].
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part.
    reduction : {"mean", "sum", "none"}
        What is done with the losses of the rows.

    Returns
    -------
    array
        A scalar, or with "none" one loss a row.

    Raises
    ------
    TypeError
        If `scores` is not a floating array, or `target` not an array of its library.
    ValueError
        If shapes differ, `k`, `temperature` or `p` is out of range, or `reduction` is unknown.

    Notes
    -----
    *Derivatives*: in `scores` and `target`, as for `topk_mask`. The value is a sum of Bregman
    divergences and slacks, all non-negative, so that nothing cancels near the optimum.
    Sources: arXiv 2302.01425, arXiv 1901.02324.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import topk_loss
    >>> scores = np.asarray([[3.0, 1.0, 0.5, 2.0]])
    >>> float(topk_loss(scores, np.asarray([[1.0, 0.0, 0.0, 1.0]]), 2))
    0.0
    >>> float(topk_loss(scores, np.asarray([[1.0, 1.0, 0.0, 0.0]]), 2))
    1.0
    """
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    ready = prepare(scores, axis, where, (k, temperature, target))
    backend, x = ready.backend, ready.x
    xp = backend.namespace
    k = check_k(backend, k, scores, ready.axis)
    p = check_p(p)
    temperature = temperature_of(backend, temperature, scores, ready.axis)
    if isinstance(temperature, float) and not 0.0 < temperature < float("inf"):
        raise ValueError(
            f"`temperature` must be above 0 and finite; got temperature={temperature:g}"
        )
    t = check_target(backend, "target", target, scores)
    t = axis_last(xp, widen(xp, t, check_dtype("target", t)), ready.axis)
    losses = _rows(backend, x, t, k, temperature, p)
    return reduce(xp, narrow(xp, losses, ready.info, ready.dtype), reduction)


def _rows(backend: Any, x: Array, t: Array, k: Any, temperature: Any, p: float) -> Array:
    """Loss of each row: Bregman divergences on the support, slacks where a bound is active."""
    xp = backend.namespace
    y, (found, free, saturated) = mask_formula(backend, x, k, temperature, conjugate_exponent(p))
    zeros = xp.zeros_like(x)
    tau = _live_threshold(xp, backend, x, y, free, found, temperature, p)
    on = free | saturated
    bregman = (t - y) ** 2 / 2.0 if p == 2.0 else _bregman(xp, t, y, p)
    valid = backend.stop_gradient(x) > float("-inf")
    height = xp.where(valid, x, zeros) - tau
    slack = xp.where(saturated, (1.0 - t) * (height - temperature), zeros)
    slack = slack - xp.where(on | ~valid, zeros, t * height)
    forbidden = ~valid & (backend.stop_gradient(t) > 0)  # a masked entry cannot be relevant
    slack = xp.where(forbidden, zeros + float("inf"), slack)
    return xp.sum(temperature * bregman + slack, axis=-1)


def _bregman(xp: Any, t: Array, y: Array, p: float) -> Array:
    """Return t^p/p - y^p/p - y^(p-1) (t - y), as y^p h(t/y - 1) with h by its series near 0."""
    on = y > 0
    safe = xp.where(on, y, xp.ones_like(y))
    e = t / safe - 1.0
    near = xp.abs(e) < 0.02
    small = xp.where(near, e, xp.zeros_like(e))
    series, coefficient = xp.zeros_like(e), 1.0
    for n in range(2, 11):  # binomial coefficients of (1 + e)^p / p
        coefficient *= (p - n + 1.0) / n
        series = series + coefficient * small**n
    h = xp.where(
        near, series, power(xp, xp.where(near, xp.ones_like(e), 1.0 + e), p) / p - 1.0 / p - e
    )
    return xp.where(on, power(xp, safe, p) * h, power(xp, t, p) / p)


def _live_threshold(
    xp: Any,
    backend: Any,
    x: Array,
    y: Array,
    free: Array,
    found: Array,
    temperature: Any,
    p: float,
) -> Array:
    """Return tau as a function of the live scores: the mean of x - l y^(p-1) over the free set."""
    inside = xp.where(free, x - temperature * power(xp, y, p - 1.0), xp.zeros_like(x))
    count = xp.sum(xp.astype(free, x.dtype), axis=-1, keepdims=True)
    mean = xp.sum(inside, axis=-1, keepdims=True) / xp.maximum(count, xp.ones_like(count))
    known = xp.where(xp.isfinite(found), found, xp.zeros_like(found))
    return xp.where(count > 0, mean, known)


def check_target(backend: Any, name: str, target: Array, scores: Array) -> Array:
    """Return a dense target in the dtype of the scores.

    Raises
    ------
    TypeError
        If `target` is not a floating or boolean array of the library of `scores`.
    ValueError
        If its shape is not that of `scores`.
    """
    check_array(name, target, backend)
    target = known_to(backend, target)
    xp = backend.namespace
    if tuple(target.shape) != tuple(scores.shape):
        raise ValueError(
            f"`{name}` must have the shape {tuple(scores.shape)} of the scores; "
            f"got {tuple(target.shape)}"
        )
    if xp.isdtype(target.dtype, "bool"):
        return xp.astype(target, scores.dtype)
    check_dtype(name, target)
    return target if target.dtype == scores.dtype else xp.astype(target, scores.dtype)


def reduce(xp: Any, losses: Array, reduction: str) -> Array:
    """Reduce one loss a row by "mean", "sum" or "none"; the mean over no rows is 0."""
    if reduction == "none":
        return losses
    total = xp.sum(losses, dtype=losses.dtype)
    return total if reduction == "sum" else total / max(1, _size(losses))


def _size(x: Array) -> int:
    size = 1
    for length in x.shape:
        size *= length
    return size
