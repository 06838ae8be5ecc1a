"""Soft quantiles: entries of the soft sort, and the lines between them."""

from __future__ import annotations

from numbers import Real

from ..arrays import check_dtype, check_number
from ..backend import Array, Backend
from ..parameters import check_array
from ._arguments import prepare, temperature_of
from ._ordering import check_regularization
from .soft_sort import plain_sort

__all__ = ["soft_quantile"]


def soft_quantile(
    x: Array,
    q: Array | float,
    /,
    *,
    temperature: Array | float = 1.0,
    regularization: str = "quadratic",
    axis: int = -1,
) -> Array:
    r"""Soft quantile: the ascending soft sort, read at place q (n - 1) by linear interpolation.

    At temperature 0 this is NumPy's default quantile; q = 0.5 gives the soft median, q = 0 and 1
    the soft minimum and maximum. Unlike the hard quantile, it may depend on every entry.

    Parameters
    ----------
    x
        Entries, real floating of shape (..., n).
    q
        Number in [0, 1], or array of such numbers of any shape.
    temperature
        Temperature of the soft sort, at least 0: a number or an array with one value a row (size 1
        along `axis`).
    regularization
        "quadratic" or "entropic".
    axis
        Axis that is reduced.

    Returns
    -------
    array
        Quantiles of shape ``q.shape`` followed by the shape of `x` without `axis`, as in NumPy.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype, or `q` neither a number nor such an array.
    ValueError
        If a number `q` is outside [0, 1], `temperature` is negative, `regularization` unknown, or
        `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, an array `q` and an array `temperature`; in `q` the function is
    piecewise linear, and at a knot the slope to the right is returned. Entries of an array `q`
    outside [0, 1] give NaN. A row with a NaN is NaN.

    References
    ----------
    Blondel, Teboul, Berthet and Djolonga (2020), "Fast differentiable sorting and ranking",
    arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import soft_quantile
    >>> x = np.asarray([2.0, -1.0, 2.5, 0.0, 8.0])
    >>> float(soft_quantile(x, 0.5, temperature=0))
    2.0
    >>> soft_quantile(x, np.asarray([0.25, 0.5]), temperature=0.25).round(6).tolist()
    [0.0, 2.0]
    """
    check_regularization(regularization)
    ready = prepare(x, axis, None, (q, temperature))
    backend, xp = ready.backend, ready.backend.namespace
    temperature = temperature_of(backend, temperature, x, ready.axis)
    if isinstance(q, Real):
        q = check_number("q", q, minimum=0.0, maximum=1.0)
    else:
        check_array("q", q, backend)
        check_dtype("q", q)
    ordered = plain_sort(backend, ready.x, temperature, regularization)
    value = _at_number(ordered, q) if isinstance(q, float) else _at_array(backend, ordered, q)
    return value if value.dtype == ready.dtype else xp.astype(value, ready.dtype)


def _at_number(ordered: Array, q: float) -> Array:
    """Return the row at a place known now."""
    n = ordered.shape[-1]
    lower = min(int(q * (n - 1)), max(n - 2, 0))
    fraction = q * (n - 1) - lower
    below, above = ordered[..., lower], ordered[..., min(lower + 1, n - 1)]
    # Weights rather than a difference: an infinite entry of weight 0 would still spoil that.
    return (
        below if fraction == 0.0 else above if fraction == 1.0 else _between(below, above, fraction)
    )


def _at_array(backend: Backend, ordered: Array, q: Array) -> Array:
    """Return the row at each place of an array, the axes of `q` first."""
    xp = backend.namespace
    n = ordered.shape[-1]
    shape = tuple(q.shape)
    q = xp.astype(xp.reshape(q, (-1,)), ordered.dtype)
    q = xp.where((q >= 0) & (q <= 1), q, xp.full_like(q, float("nan")))
    fixed = backend.stop_gradient(q)
    place = xp.floor(xp.where(xp.isnan(fixed), xp.zeros_like(fixed), fixed) * (n - 1))
    place = xp.minimum(place, xp.full_like(place, max(n - 2, 0)))
    lower = xp.astype(place, xp.int64 if n > 2**31 - 2 else xp.int32)
    upper = xp.minimum(lower + 1, xp.full_like(lower, n - 1))
    below, above = xp.take(ordered, lower, axis=-1), xp.take(ordered, upper, axis=-1)
    fraction = q * (n - 1) - place
    value = xp.add(below, xp.multiply(fraction, above - below))
    value = xp.permute_dims(value, (value.ndim - 1, *range(value.ndim - 1)))
    return xp.reshape(value, shape + tuple(value.shape[1:]))


def _between(below: Array, above: Array, fraction: Array | float) -> Array:
    return below + fraction * (above - below)
