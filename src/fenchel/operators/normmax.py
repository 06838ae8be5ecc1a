"""Normmax: the argmax smoothed by a norm, sparse with nearly equal probabilities."""

from __future__ import annotations

from typing import Any

from ..backend import compiled
from ..convex.thresholds import bisect, power, steps_for, stop
from ..kernels import structure_kernel
from ..parameters import row_parameter
from ._arguments import finish, prepare, temperature_of, with_temperature
from ._scores import hard_argmax, shifted
from .entmax import entmax_scores

__all__ = ["normmax", "normmax_formula", "normmax_threshold"]

Array = Any


def normmax(
    x: Array,
    /,
    *,
    alpha: Any = 2.0,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
) -> Array:
    r"""Normmax: the maximiser over the simplex of :math:`\langle p, x \rangle - \tau \|p\|_\alpha`.

    Its solution is :math:`p = r / \sum r` with :math:`r_i = [x_i/\tau - t]_+^{1/(\alpha-1)}` and t
    such that :math:`\sum_i r_i^\alpha = 1`. As alpha grows it tends to the uniform distribution
    over the support that sparsemax finds.

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype; -inf entries get 0.
    alpha : number or array (..., 1)
        Above 1, infinity included (as a number); differentiated if an array.
    temperature : number or array (..., 1)
        At least 0; 0 is the hard argmax, ties sharing equally.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; a row with none is all 0.

    Returns
    -------
    array (..., n)
        Probabilities with exact zeros, of the dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a floating array.
    ValueError
        If `alpha` is not above 1, `temperature` is negative, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `temperature` and `alpha`, to order three wherever the support is locally
    constant. Source: arXiv 1901.02324, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import normmax
    >>> normmax(np.asarray([1.0, 1.2, 0.0])).round(4)
    array([0.4286, 0.5714, 0.    ])
    """
    ready = prepare(x, axis, where, (alpha, temperature))
    backend, scores = ready.backend, ready.x
    alpha = row_parameter(backend, "alpha", alpha, x, ready.axis, above=1.0)
    temperature = temperature_of(backend, temperature, x, ready.axis)
    return finish(
        ready,
        with_temperature(
            backend,
            temperature,
            lambda positive: _soft(backend, scores, positive, alpha),
            lambda: hard_argmax(backend, scores),
        ),
    )


def _soft(backend: Any, x: Array, temperature: Any, alpha: Any) -> Array:
    if isinstance(alpha, float) and alpha == float("inf"):
        return normmax_formula(backend, shifted(backend, x, temperature), alpha)
    return _shifted_normmax(backend, x, temperature, alpha)


@compiled()
def _shifted_normmax(backend: Any, x: Array, temperature: Any, alpha: Any) -> Array:
    return normmax_formula(backend, shifted(backend, x, temperature), alpha)


def normmax_formula(backend: Any, x: Array, alpha: Any) -> Array:
    """Normmax of prepared scores (at most 0, -inf is out)."""
    if isinstance(alpha, float) and alpha == float("inf"):
        return _uniform_support(backend, x)
    xp = backend.namespace
    data, alpha0 = backend.stop_gradient(x), stop(backend, alpha)
    find = structure_kernel(backend, "normmax_threshold", normmax_threshold, data)
    found = backend.stop_gradient(find(data, alpha0))
    known = xp.isfinite(found)
    t = xp.where(known, found, xp.zeros_like(found))
    on = known & (data > t)
    inside = xp.where(on, x, xp.broadcast_to(t, x.shape))
    c = 1.0 / (alpha - 1.0)
    for _ in range(2):
        r = power(xp, _height(xp, inside, t, on), c)
        mass = xp.sum(power(xp, r, alpha), axis=-1, keepdims=True) - 1.0
        slope = alpha * c * xp.sum(r, axis=-1, keepdims=True)
        mass = xp.where(known, mass, xp.zeros_like(mass))
        t = t + mass / xp.where(slope > 0, slope, xp.ones_like(slope))
    r = power(xp, _height(xp, inside, t, on), c)
    total = xp.sum(r, axis=-1, keepdims=True)
    y = r / xp.where(total == 0, xp.ones_like(total), total)
    return xp.where(xp.isnan(found), xp.full_like(y, float("nan")), y)


def _height(xp: Any, x: Array, t: Array, on: Array) -> Array:
    return xp.where(on, x - t, xp.zeros_like(x))


def _uniform_support(backend: Any, x: Array) -> Array:
    """Limit of alpha to infinity: uniform over the support of sparsemax."""
    xp = backend.namespace
    on = xp.astype(entmax_scores(backend, backend.stop_gradient(x), 2.0, 1.0) > 0, x.dtype)
    count = xp.sum(on, axis=-1, keepdims=True)
    nan = xp.any(xp.isnan(backend.stop_gradient(x)), axis=-1, keepdims=True)
    y = on / xp.where(count == 0, xp.ones_like(count), count)
    return xp.where(nan, xp.full_like(y, float("nan")), y)


def normmax_threshold(backend: Any, x: Array, alpha: Any) -> Array:
    """Reference kernel: t in [max x - 1, max x - n^(-(alpha-1)/alpha)], by bisection."""
    xp = backend.namespace
    zeros = xp.zeros_like(x[..., :1])
    alpha = zeros + alpha
    top = xp.max(x, axis=-1, keepdims=True)
    empty = top == float("-inf")
    top = xp.where(empty, zeros, top)
    valid = x > float("-inf")
    count = xp.sum(xp.astype(valid, x.dtype), axis=-1, keepdims=True)
    least = xp.where(count > 0, count, zeros + 1.0) ** ((1.0 - alpha) / alpha)

    def above(t: Array) -> Array:
        height = xp.where(
            valid & (x > t),
            xp.where(valid, x, xp.broadcast_to(t, x.shape)) - t,
            xp.zeros_like(x),
        )
        return xp.sum(power(xp, height, alpha / (alpha - 1.0)), axis=-1, keepdims=True) >= 1.0

    t = bisect(backend, above, top - 1.0, top - least * (1 - 2.0**-20), steps_for(x))
    t = xp.where(empty, zeros + float("inf"), t)
    return xp.where(xp.any(xp.isnan(x), axis=-1, keepdims=True), zeros + float("nan"), t)
