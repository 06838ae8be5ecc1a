"""Entropic projections: the maximisers of <x, y> - sum(y log y - y) over a set.

They are the Kullback-Leibler projections of exp(x); without a constraint the maximiser is exp(x).
"""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array, Backend
from ..kernels import structure_kernel
from ..parameters import row_parameter
from .blocks import block_logsumexp, block_max, gather, spread_nan
from .entropic_section import clipped_exp, kl_section
from .isotonic import isotonic_regression
from .order import ascending_order, inverse_order
from .pooling import pool_kl
from .rows import nan_where, open_rows, row_vector

__all__ = [
    "project_kl_capped_simplex",
    "project_kl_cube",
    "project_kl_nonnegative",
    "project_kl_order_simplex",
    "project_kl_permutahedron",
    "project_kl_simplex",
]


def project_kl_nonnegative(x: Array, /, *, axis: int = -1) -> Array:
    """Return the entropic projection on the non-negative orthant: exp(x).

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Entries of -inf get 0.
    axis
        Axis of the entries; it does not matter here.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, to every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_nonnegative
    >>> project_kl_nonnegative(np.asarray([0.0, -np.inf])).tolist()
    [1.0, 0.0]
    """
    rows = open_rows(x, axis)
    return rows.close(rows.backend.namespace.exp(rows.x))


def project_kl_cube(x: Array, /, *, axis: int = -1) -> Array:
    """Return the entropic projection on the unit cube: min(exp(x), 1).

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Entries of -inf get 0.
    axis
        Axis of the entries; it does not matter here.

    Returns
    -------
    array
        Like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, to every order; at 0 those of the inside.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_cube
    >>> project_kl_cube(np.asarray([0.5, -np.inf])).tolist()
    [1.0, 0.0]
    """
    rows = open_rows(x, axis)
    return rows.close(clipped_exp(rows.backend.namespace, rows.x))


def project_kl_simplex(x: Array, /, *, radius: Array | float = 1.0, axis: int = -1) -> Array:
    """Return the entropic projection of each row on {y >= 0, sum y = radius}: radius softmax(x).

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Entries of -inf get 0; those of inf share.
    radius
        Sum of the entries, at least 0: a number or an array with one value a row (size 1 along
        `axis`).
    axis
        Axis that sums to the radius.

    Returns
    -------
    array
        Like `x`; a row of only -inf is 0.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `radius` is negative, or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `radius`, to every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_simplex
    >>> project_kl_simplex(np.log(np.asarray([1.0, 3.0])), radius=2.0).round(12).tolist()
    [0.5, 1.5]
    """
    rows = open_rows(x, axis, radius)
    radius = row_parameter(rows.backend, "radius", radius, x, rows.axis, minimum=0.0)
    return rows.close(rows.backend.namespace.multiply(_softmax(rows.backend, rows.x), radius))


def project_kl_capped_simplex(x: Array, k: Array | float, /, *, axis: int = -1) -> Array:
    """Return the entropic projection of each row on {0 <= y <= 1, sum y = k}.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Entries of -inf get 0; `k` is clamped to the number
        of the others.
    k
        Sum of the entries, in [0, n], possibly fractional: a number or an array with one value a
        row (size 1 along `axis`).
    axis
        Axis that sums to `k`.

    Returns
    -------
    array
        min(exp(x - tau), 1), like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `k` is outside [0, n], or `axis` empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and an array `k`, to every order, almost everywhere; 0 at k = 0 and k = n.

    References
    ----------
    Martins and Kreutzer (2017), "Learning what's easy: fully differentiable neural easy-first
    taggers"; Blondel (2019), arXiv:1910.11369.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_capped_simplex
    >>> project_kl_capped_simplex(np.log(np.asarray([9.0, 1.0, 3.0])), 2).round(12).tolist()
    [1.0, 0.25, 0.75]
    """
    rows = open_rows(x, axis, k)
    backend, z = rows.backend, rows.x
    xp, n = backend.namespace, float(z.shape[-1])
    k = row_parameter(backend, "k", k, x, rows.axis, minimum=0.0, maximum=n)
    total = xp.zeros_like(backend.stop_gradient(z[..., :1])) + k
    ones = xp.ones_like(backend.stop_gradient(z))
    return rows.close(kl_section(backend, z, ones, total, uniform=True))


def project_kl_order_simplex(x: Array, /, *, axis: int = -1) -> Array:
    """Return the entropic projection of each row on {1 >= y_1 >= ... >= y_n >= 0}.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n).
    axis
        Axis of the order.

    Returns
    -------
    array
        The exponential of the non-increasing fit of `x`, clipped to 1; like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If `axis` is empty or out of range.

    Notes
    -----
    *Derivatives*: those of `isotonic_regression` and the exponential.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_order_simplex
    >>> project_kl_order_simplex(np.log(np.asarray([2.0, 0.2, 0.8]))).round(12).tolist()
    [1.0, 0.4, 0.4]
    """
    rows = open_rows(x, axis)
    fit = isotonic_regression(rows.x, increasing=False)
    return rows.close(clipped_exp(rows.backend.namespace, fit))


def project_kl_permutahedron(x: Array, w: Array, /, *, axis: int = -1) -> Array:
    """Return the entropic projection of each row on the hull of the permutations of `w` > 0.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n). Infinite entries get the last entries of `w`.
    w
        Positive array of shape (n,), or one vector a row, entries last; in any order.
    axis
        Axis of the entries of `x`.

    Returns
    -------
    array
        Like `x`; a row whose `w` has an entry that is not positive is NaN.

    Raises
    ------
    TypeError
        If `x` or `w` is no array of one library with a real floating dtype.
    ValueError
        If `w` does not broadcast to the rows, or `axis` is empty or out of range.

    Notes
    -----
    With x and w sorted it is exp(x - v), v the isotonic fit of loss "kl" of x and log w: in each
    block the softmax of x times the sum of w. Soft ranks with entropic regularization are these.

    *Derivatives*: in `x` and `w`, to every order, almost everywhere.

    References
    ----------
    Blondel, Teboul, Berthet and Djolonga (2020), arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_permutahedron
    >>> w = np.asarray([1.0, 2.0, 3.0])
    >>> project_kl_permutahedron(np.asarray([0.0, 0.0, 9.0]), w).round(12).tolist()
    [1.5, 1.5, 3.0]
    """
    rows = open_rows(x, axis, w)
    backend, z = rows.backend, rows.x
    xp, w = backend.namespace, row_vector(rows, "w", w)
    bad = xp.any(~(backend.stop_gradient(w) > 0), axis=-1, keepdims=True)
    log_w = xp.log(xp.where(bad, xp.ones_like(w), w))
    log_w = gather(backend, log_w, ascending_order(backend, log_w))
    z = _finite_ends(backend, z, log_w)
    order = ascending_order(backend, z)
    ordered = gather(backend, z, order)
    blocks = structure_kernel(backend, "kl_isotonic_blocks", pool_kl, z)
    # Both rows ascend here, and so does the fit.
    ids = blocks(backend.stop_gradient(ordered), backend.stop_gradient(log_w), 1.0)
    share = ordered - _log_total(backend, ordered, ids)
    y = xp.exp(share + _log_total(backend, log_w, ids))
    y = spread_nan(backend, gather(backend, y, inverse_order(backend, order)))
    return rows.close(nan_where(backend, bad, y))


def _finite_ends(backend: Backend, x: Array, log_w: Array) -> Array:
    """Return `x` with finite values in place of infinite entries, too far off to share a block."""
    xp, data = backend.namespace, backend.stop_gradient(x)
    log_w, infinite = backend.stop_gradient(log_w), xp.isinf(data)
    zeros, infinity = xp.zeros_like(data), float("inf")
    gap = log_w[..., -1:] - log_w[..., :1] + 2 * math.log(x.shape[-1]) + 1
    low = xp.min(xp.where(infinite, zeros + infinity, data), axis=-1, keepdims=True)
    high = xp.max(xp.where(infinite, zeros - infinity, data), axis=-1, keepdims=True)
    low, high = (xp.where(xp.isinf(end), xp.zeros_like(end), end) for end in (low, high))
    ends = xp.where(data > 0, zeros + (high + gap), zeros + (low - gap))
    return xp.where(infinite, ends, x)


def _log_total(backend: Backend, x: Array, ids: Array) -> Array:
    return block_logsumexp(backend, x, ids, block_max(backend, x, ids))


def _softmax(backend: Backend, x: Array) -> Array:
    """Return the softmax of each row; infinite entries share, a row of only -inf is 0."""
    xp: Any = backend.namespace
    data = backend.stop_gradient(x)
    zeros = xp.zeros_like(data)
    top = xp.max(data, axis=-1, keepdims=True)
    first, beyond = data == float("inf"), top == float("inf")
    inside = ~(xp.isinf(data) | beyond)
    shift = xp.where(xp.isinf(top), xp.zeros_like(top), top)
    part = xp.exp(xp.where(inside, x - shift, zeros))
    part = xp.where(inside | first, part, zeros)
    total = xp.sum(part, axis=-1, keepdims=True)
    return part / xp.where(total == 0, xp.ones_like(total), total)
