"""Logits of a cosine router: angles between projected tokens and embeddings of the experts."""

from __future__ import annotations

from math import log
from numbers import Real
from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import Array, backend_of
from ..parameters import check_array, known_to

__all__ = ["cosine_logits"]

_FIRST_LOG_SCALE, _MAX_LOG_SCALE = log(2.0), log(100.0)
_LEAST_NORM = 1e-12


def cosine_logits(
    x: Array, projection: Array, embeddings: Array, /, *, log_scale: Any = _FIRST_LOG_SCALE
) -> Array:
    r"""Return the logits :math:`e^{\min(\tau, \log 100)} \cos(x_t W, E_e)`, for `route`.

    Parameters
    ----------
    x : array (..., n, d)
        Tokens, real floating.
    projection : array (d, r)
        Matrix W to the space in which angles are measured.
    embeddings : array (r, m)
        A direction for each expert.
    log_scale : number or array
        Logarithm of the scale; learnt in Tutel, from log 2 on, and bounded by log 100.

    Returns
    -------
    array (..., n, m)
        Logits, of the dtype of `x`.

    Raises
    ------
    TypeError
        If an array is not floating or of another library.
    ValueError
        If shapes do not match.

    Notes
    -----
    A token whose projection is 0 has logits of 0. *Derivatives*: in all arguments, to every order;
    0 in the scale beyond its bound.

    References
    ----------
    Z. Chi et al., "On the representation collapse of sparse mixture of experts", 2022,
    arXiv 2204.09179; C. Hwang et al., "Tutel", 2022, arXiv 2206.03382.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import cosine_logits
    >>> x = np.asarray([[3.0, 0.0], [5.0, 5.0]])
    >>> cosine_logits(x, np.eye(2), 7.0 * np.eye(2)).round(3).tolist()
    [[2.0, 0.0], [1.414, 1.414]]
    """
    fixed = isinstance(log_scale, Real)
    backend = backend_of(x, projection, embeddings, *(() if fixed else (log_scale,)))
    xp = backend.namespace
    info = check_dtype("x", x)
    width = x.shape[-1] if x.ndim else 0
    for name, matrix, rows in (("projection", projection, width), ("embeddings", embeddings, None)):
        check_array(name, matrix, backend)
        check_dtype(name, matrix)
        wanted = tuple(projection.shape)[-1] if rows is None else rows
        if matrix.ndim != 2 or matrix.shape[0] != wanted:
            raise ValueError(f"`{name}` must have {wanted} rows; got shape {tuple(matrix.shape)}")
    wide = widen(xp, known_to(backend, x), info)
    w, e = (xp.astype(known_to(backend, v), wide.dtype) for v in (projection, embeddings))
    cosines = xp.matmul(_unit(xp, xp.matmul(wide, w), -1), _unit(xp, e, -2))
    if not fixed:
        tau = xp.astype(known_to(backend, log_scale), wide.dtype)
        scale: Any = xp.exp(xp.where(tau > _MAX_LOG_SCALE, _MAX_LOG_SCALE + 0.0 * tau, tau))
    else:
        scale = xp.exp(xp.full_like(cosines[..., :1], min(float(log_scale), _MAX_LOG_SCALE)))
    return narrow(xp, xp.multiply(cosines, scale), info, x.dtype)


def _unit(xp: Any, v: Array, axis: int) -> Array:
    """Return v over its norm; where that is tiny, 0 with slopes of 0."""
    square = xp.sum(v * v, axis=axis, keepdims=True)
    some = square > _LEAST_NORM**2
    return xp.where(some, v, xp.zeros_like(v)) / xp.sqrt(
        xp.where(some, square, xp.ones_like(square))
    )
