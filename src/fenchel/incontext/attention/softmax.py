"""Causal softmax attention, and softmax over positions as weights of the linear kind."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ...arrays import check_number, dtype_name
from ...operators import softmax
from .._numbers import is_complex
from ._arguments import Heads, check_heads

__all__ = ["causal_softmax_attention", "positional_weights"]

Array = Any


def causal_softmax_attention(
    q: Array, k: Array, v: Array, /, *, scale: float | None = None, mask: Array | None = None
) -> Array:
    r"""Return means of past values, weighted by the softmax of products of queries and keys.

    Parameters
    ----------
    q, k
        Real queries and keys (..., T, d).
    v
        Values (..., T, m). Batch axes broadcast.
    scale
        Factor of the scores; 1/sqrt(d) if absent.
    mask
        Booleans that broadcast to (..., T); False tokens are padding, as queries they get 0.

    Returns
    -------
    array
        Outputs (..., T, m).

    Raises
    ------
    TypeError
        If dtypes or libraries differ, or are not real floating.
    ValueError
        If shapes do not fit.

    Notes
    -----
    A row without a valid key is 0. *Derivatives*: smooth, of every order.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([[1.0], [3.0]])
    >>> causal_softmax_attention(0 * x, x, x)[:, 0].tolist()
    [1.0, 2.0]
    """
    heads = check_heads(q, k, v, mask)
    shares = _shares(heads, scale)
    return heads.numbers.narrow(heads.numbers.backend.namespace.matmul(shares, heads.v))


def positional_weights(q: Array, k: Array, /, *, scale: float | None = None) -> Array:
    r"""Return softmax weights between positions, for the `weights` of linear attention.

    .. math:: P_{ij} = \operatorname{softmax}_{j \le i}(\text{scale}\, \langle q_i, k_j \rangle)

    Parameters
    ----------
    q, k
        Real queries and keys (..., T, d) of the positions.
    scale
        Factor of the scores; 1/sqrt(d) if absent.

    Returns
    -------
    array
        Weights (..., T, T), zero above the diagonal, rows summing to one.

    Raises
    ------
    TypeError
        If the arrays are not real floating, or of two libraries.
    ValueError
        If shapes do not fit.

    Notes
    -----
    *Derivatives*: smooth, of every order.

    Examples
    --------
    >>> import numpy as np
    >>> positional_weights(np.zeros((2, 3)), np.zeros((2, 3))).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    heads = check_heads(q, k, k, None)
    return heads.numbers.narrow(_shares(heads, scale))


def _shares(heads: Heads, scale: float | None) -> Array:
    """Softmax of the scores of the past, of shape (..., T, T)."""
    q, xp = heads.q, heads.numbers.backend.namespace
    if is_complex(q):
        raise TypeError(f"`q` must have a real dtype for softmax scores; got {dtype_name(q)}")
    factor = 1.0 / sqrt(max(q.shape[-1], 1)) if scale is None else check_number("scale", scale)
    scores = factor * xp.matmul(q, xp.matrix_transpose(heads.k))
    if scores.shape[-1] == 0:
        return scores
    seen = _causal(xp, scores)
    if heads.mask is not None:
        seen = seen & xp.expand_dims(heads.mask, axis=-2) & xp.expand_dims(heads.mask, axis=-1)
    return softmax(scores, where=seen)


def _causal(xp: Any, scores: Array) -> Array:
    """Booleans like the scores: keys up to the query."""
    constant = xp.zeros_like(scores)
    return xp.tril(constant + 1.0) > 0.5
