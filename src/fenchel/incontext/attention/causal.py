"""Causal linear attention, in three forms that give the same numbers."""

from __future__ import annotations

from typing import Any

from ...arrays import check_choice, check_integer, check_number
from ...parameters import known_to
from .._numbers import as_dtype, is_complex, real_dtype
from . import _forms, _weighted
from ._arguments import Heads, broadcast_shapes, check_heads, check_state, check_weights

__all__ = ["causal_linear_attention"]

Array = Any

_METHODS = ("auto", "parallel", "recurrent", "chunked")
_PLAIN = {
    "parallel": _forms.parallel,
    "recurrent": _forms.recurrent,
    "chunked": _forms.chunked,
}
_WEIGHTED = {
    "parallel": _weighted.parallel,
    "recurrent": _weighted.recurrent,
    "chunked": _weighted.chunked,
}


def causal_linear_attention(
    q: Array,
    k: Array,
    v: Array,
    /,
    *,
    weights: Array | None = None,
    scale: Any = 1.0,
    mask: Array | None = None,
    initial_state: Array | None = None,
    output_final_state: bool = False,
    method: str = "auto",
    chunk: int = 64,
) -> Any:
    r"""Return sums of past values, weighted by products of queries and keys.

    .. math:: o_i = \text{scale} \sum_{j \le i} P_{ij} \, \langle q_i, k_j \rangle \, v_j ,
       \qquad \langle q, k \rangle = \sum_c \bar q_c k_c ,

    without softmax or normaliser. Without weights the past is one matrix,
    :math:`S_i = S_{i-1} + k_i v_i^\top`, and :math:`o_i = \text{scale}\, S_i^\top \bar q_i`.

    Parameters
    ----------
    q, k
        Queries and keys (..., T, d), real or complex; heads are a leading axis.
    v
        Values (..., T, m), of the same dtype. Batch axes broadcast.
    weights
        Positional weights P (..., T, T), real or complex; what is above the diagonal is not read.
    scale
        Number, or array that broadcasts to the output.
    mask
        Booleans that broadcast to (..., T): False tokens are padding. As keys they contribute
        nothing, as queries they get 0.
    initial_state
        State (..., d, m) of the tokens before, unscaled.
    output_final_state
        Whether to return the state after the last token as well.
    method
        ``"parallel"`` takes O(T^2) per head, ``"recurrent"`` one step a token, ``"chunked"``
        O(T (chunk + d)) in few large products; ``"auto"`` is parallel up to one chunk, and where
        weights are given, and chunked beyond.
    chunk
        Tokens a chunk.

    Returns
    -------
    array or tuple
        Outputs (..., T, m) of the dtype of `q`; with `output_final_state` also the state
        (..., d, m), in float32 where that is a half type.

    Raises
    ------
    TypeError
        If dtypes or libraries differ, or are not floating.
    ValueError
        If shapes do not fit, if `method` is unknown, if `chunk` is below 1, or if weights and a
        state are asked for at once.

    Notes
    -----
    Half types are summed in float32. An output before a token that is not finite is not touched by
    it in the recurrent form; in the others it may become NaN. A sequence streamed in pieces, with
    the state handed on, gives what one call gives; the state has d m numbers however long the past
    is. Sums grow like T: scale by 1/T, or the weights, where that matters.

    *Derivatives*: smooth (linear in `v` and `weights`, bilinear in `q` and `k`), of every order, in
    every mode; complex arguments as each library differentiates them.

    References
    ----------
    A. Katharopoulos et al., "Transformers are RNNs", ICML 2020, arXiv 2006.16236. M. Sander et al.,
    "How do Transformers Perform In-Context Autoregressive Learning?", ICML 2024, arXiv 2402.05787.

    Examples
    --------
    >>> import numpy as np
    >>> ones = np.ones((4, 2))
    >>> causal_linear_attention(ones, ones, ones, scale=0.5)[:, 0].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    check_choice("method", method, _METHODS)
    chunk = check_integer("chunk", chunk, minimum=1)
    others = tuple(x for x in (weights, scale, initial_state) if hasattr(x, "dtype"))
    heads = check_heads(q, k, v, mask, *others)
    length = q.shape[-2]
    if method == "auto":
        method = "chunked" if weights is None and length > chunk else "parallel"
    elif length == 0:
        method = "parallel"  # the forms agree, and nothing is there to step over
    if weights is not None:
        if initial_state is not None or output_final_state:
            raise ValueError(
                "`weights` must be None where a state is handed on, as each row weighs the past "
                "anew; got both"
            )
        p = check_weights(heads, weights)
        out = _WEIGHTED[method](heads.numbers.backend, heads.q, heads.k, heads.v, p, chunk=chunk)
        return _scaled(heads, out, scale)
    start = None if initial_state is None else check_state(heads, initial_state)
    final = bool(output_final_state)
    out, state = _PLAIN[method](
        heads.numbers.backend, heads.q, heads.k, heads.v, start, final=final, chunk=chunk
    )
    out = _scaled(heads, out, scale)
    return (out, state) if output_final_state else out


def _scaled(heads: Heads, out: Array, scale: Any) -> Array:
    """Return scale * out in the dtype of the results."""
    numbers = heads.numbers
    if not hasattr(scale, "dtype"):
        factor = check_number("scale", scale)
        return numbers.narrow(out if factor == 1.0 else out * factor)
    xp = numbers.backend.namespace
    shape, given = tuple(out.shape), tuple(scale.shape)
    if broadcast_shapes("scale", given, shape) != shape:
        raise ValueError(f"`scale` must broadcast to the output {shape}; got shape {given}")
    scale = known_to(numbers.backend, scale)
    if not is_complex(scale):
        scale = as_dtype(xp, scale, real_dtype(xp, numbers.inner))
    return numbers.narrow(out * scale)
