"""Logarithms and exponentials in forms that neither overflow nor cancel, smooth on each branch.

Branches are decided by the real part, so that all of these take complex arrays and the complex
step through them is exact.
"""

from __future__ import annotations

from typing import Any

from ..arrays import check_axis, float_info, narrow, widen
from ..backend import Backend, backend_of
from ..parameters import check_array, check_mask
from .lookup import real_part

__all__ = [
    "expit",
    "log1mexp",
    "log_expit",
    "logit",
    "logsumexp",
    "softplus",
    "xlogy",
]

Array = Any

_INF = float("inf")
_LOG_2 = 0.6931471805599453


def _floating(name: str, x: Array) -> tuple[Backend, Any, Any]:
    """Return the backend, the namespace, and what is known of a real floating dtype."""
    backend = backend_of(x)
    xp, info = backend.namespace, float_info(x.dtype)
    if info is None and not xp.isdtype(x.dtype, "complex floating"):
        raise TypeError(f"`{name}` must have a floating dtype; got {x.dtype}")
    return backend, xp, info


def _computed_wide(name: str, x: Array, formula: Any) -> Array:
    """Apply `formula(xp, x)`, in float32 for the half types."""
    _, xp, info = _floating(name, x)
    if info is None or not info.half:
        return formula(xp, x)
    return narrow(xp, formula(xp, widen(xp, x, info)), info, x.dtype)


def softplus(x: Array, /) -> Array:
    """Return log(1 + exp(x)), which is never negative and grows like x.

    Parameters
    ----------
    x
        Array of a floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a floating dtype.

    Notes
    -----
    *Derivatives*: `expit`, of every order, at 0 and in the tails too.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(softplus(np.asarray(0.0))), 12)
    0.69314718056
    """
    return _computed_wide("x", x, _softplus)


def _softplus(xp: Any, x: Array) -> Array:
    right = real_part(xp, x) > 0
    tail = xp.log1p(xp.exp(xp.where(right, -x, x)))
    return xp.where(right, x, xp.zeros_like(x)) + tail


def expit(x: Array, /) -> Array:
    """Return the logistic function 1 / (1 + exp(-x)).

    Parameters
    ----------
    x
        Array of a floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a floating dtype.

    Notes
    -----
    *Derivatives*: of every order, with relative accuracy in both tails.

    Examples
    --------
    >>> import numpy as np
    >>> float(expit(np.asarray(0.0)))
    0.5
    """
    return _computed_wide("x", x, _expit)


def _expit(xp: Any, x: Array) -> Array:
    right = real_part(xp, x) >= 0
    tail = xp.exp(xp.where(right, -x, x))
    return xp.where(right, xp.ones_like(x), tail) / (1.0 + tail)


def log_expit(x: Array, /) -> Array:
    """Return the logarithm of the logistic function, -softplus(-x).

    Parameters
    ----------
    x
        Array of a floating dtype.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is not of a floating dtype.

    Notes
    -----
    *Derivatives*: of every order.

    Examples
    --------
    >>> import numpy as np
    >>> float(log_expit(np.asarray(-1000.0)))
    -1000.0
    """
    return -softplus(-x)


def logit(p: Array, /) -> Array:
    """Return log(p / (1 - p)), the inverse of `expit`.

    Parameters
    ----------
    p
        Array of a floating dtype, probabilities.

    Returns
    -------
    array
        Like `p`: -inf at 0, inf at 1, NaN outside of [0, 1].

    Raises
    ------
    TypeError
        If `p` is not of a floating dtype.

    Notes
    -----
    Relative accuracy around one half too. *Derivatives*: of every order in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> round(float(logit(np.asarray(0.75))), 12)  # log 3
    1.098612288668
    """
    return _computed_wide("p", p, _logit)


def _logit(xp: Any, p: Array) -> Array:
    real = real_part(xp, p)
    inside, half = (real > 0) & (real < 1), 0.5 * xp.ones_like(p)
    q = xp.where(inside, p, half)
    central = (real > 0.25) & (real < 0.75)
    outer = xp.where(central, half, q)
    middle = xp.where(central, q, half)
    # Around one half the two logarithms would cancel; 2p - 1 is exact there.
    near = xp.log1p((2.0 * middle - 1.0) / (1.0 - middle))
    y = xp.where(central, near, xp.log(outer) - xp.log1p(-outer))
    edge = xp.where(real == 0, xp.full_like(p, -_INF), xp.full_like(p, float("nan")))
    return xp.where(inside, y, xp.where(real == 1, xp.full_like(p, _INF), edge))


def log1mexp(x: Array, /) -> Array:
    """Return log(1 - exp(x)) for x <= 0.

    Parameters
    ----------
    x
        Array of a floating dtype.

    Returns
    -------
    array
        Like `x`: -inf at 0, NaN above.

    Raises
    ------
    TypeError
        If `x` is not of a floating dtype.

    Notes
    -----
    *Derivatives*: of every order below 0.

    References
    ----------
    M. Maechler, "Accurately computing ``log(1 - exp(-|a|))``", 2012.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(log1mexp(np.asarray(-1e-10))), 9)
    -23.02585093
    """
    return _computed_wide("x", x, _log1mexp)


def _log1mexp(xp: Any, x: Array) -> Array:
    real = real_part(xp, x)
    close, far = (real > -_LOG_2) & (real < 0), real <= -_LOG_2
    minus_one = -xp.ones_like(x)
    near = xp.log(-xp.expm1(xp.where(close, x, minus_one)))
    y = xp.where(close, near, xp.log1p(-xp.exp(xp.where(far, x, minus_one))))
    edge = xp.where(real == 0, xp.full_like(x, -_INF), xp.full_like(x, float("nan")))
    return xp.where(real < 0, y, edge)


def xlogy(x: Array, y: Array, /) -> Array:
    """Return x log(y), which is 0 where x is 0.

    Parameters
    ----------
    x, y
        Arrays of a floating dtype that broadcast; one of them may be a Python number.

    Returns
    -------
    array
        Of the broadcast shape.

    Raises
    ------
    TypeError
        If neither is an array, or a dtype is not floating.

    Notes
    -----
    *Derivatives*: log(y) and x / y, of every order; at x = 0 with y outside of (0, inf), where the
    product is 0 by convention, both are 0.

    Examples
    --------
    >>> import numpy as np
    >>> xlogy(np.asarray([0.0, 2.0]), np.asarray([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    backend = backend_of(x, y)
    xp = backend.namespace
    arrays = [v for v in (x, y) if not isinstance(v, int | float)]
    for name, v in (("x", x), ("y", y)):
        if not isinstance(v, int | float):
            _floating(name, v)
    if len(arrays) == 1:
        x = xp.full_like(arrays[0], x) if isinstance(x, int | float) else x
        y = xp.full_like(arrays[0], y) if isinstance(y, int | float) else y
    base = real_part(xp, y)
    usual = (real_part(xp, x) != 0) | ((base > 0) & (base < _INF)) | xp.isnan(base)
    return x * xp.log(xp.where(usual, y, xp.ones_like(y)))


def logsumexp(
    x: Array,
    /,
    *,
    axis: int | tuple[int, ...] | None = -1,
    keepdims: bool = False,
    where: Array | None = None,
) -> Array:
    """Return the logarithm of the sum of exponentials.

    Parameters
    ----------
    x
        Array of a floating dtype.
    axis
        Axis or axes to sum over; None for all.
    keepdims
        Whether the axes stay, with length 1.
    where
        Boolean array that broadcasts to the shape of `x`; entries that are False do not count.

    Returns
    -------
    array
        Without the axes. -inf over nothing, or over entries that are all -inf.

    Raises
    ------
    TypeError
        If `x` is not of a floating dtype, or `where` not a boolean array of its library.
    ValueError
        If an axis is out of range, or `where` does not broadcast.

    Notes
    -----
    *Derivatives*: the softmax, of every order; 0 where the result is -inf, NaN where it is inf.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(logsumexp(np.asarray([1000.0, 1000.0]))), 9)
    1000.693147181
    """
    backend, xp, info = _floating("x", x)
    axes = _axes(axis, x)
    if where is not None:
        check_array("where", where, backend)
        mask = check_mask(backend, where, x, max(x.ndim - 1, 0))
        x = xp.where(mask, x, xp.full_like(x, -_INF))
    wide = x if info is None else widen(xp, x, info)
    y = _logsumexp(backend, wide, axes)
    if not keepdims:
        y = xp.squeeze(y, axis=axes)
    return y if info is None else narrow(xp, y, info, x.dtype)


def _axes(axis: int | tuple[int, ...] | None, x: Array) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    chosen = axis if isinstance(axis, tuple) else (axis,)
    return tuple(check_axis(i, x, allow_empty=True) for i in chosen)


def _logsumexp(backend: Backend, x: Array, axes: tuple[int, ...]) -> Array:
    xp = backend.namespace
    empty = any(x.shape[i] == 0 for i in axes)
    if empty:
        return xp.sum(x, axis=axes, keepdims=True) - _INF
    top = xp.max(real_part(xp, backend.stop_gradient(x)), axis=axes, keepdims=True)
    # A row of only -inf is shifted by nothing: -inf - -inf would be NaN.
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(x - top), axis=axes, keepdims=True)
    # For such a row the logarithm is taken of a constant: the gradient is 0 and not NaN.
    positive = total != 0
    return xp.where(
        positive,
        xp.log(xp.where(positive, total, xp.ones_like(total))) + top,
        xp.full_like(total, -_INF),
    )
