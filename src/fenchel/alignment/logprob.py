"""Log-probabilities of token sequences."""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice, dtype_name, narrow
from ..backend import backend_of, namespace
from ..losses import logistic
from ..parameters import check_array, known_to
from ._logits import Prepared, chosen, index_dtype
from ._values import refuse_wrong

__all__ = ["sequence_logprob", "shift_labels"]

Array = Any

_INF = float("inf")


def sequence_logprob(logits: Array, labels: Array, mask: Array, reduction: str = "sum") -> Array:
    r"""Log-probability of each sequence, :math:`\sum_t m_t \log softmax(h_t)_{y_t}`.

    Parameters
    ----------
    logits : array (..., T, V)
        Logits that predict `labels` at the same place (see `shift_labels`).
    labels : integer array (..., T)
        Tokens. Those that the mask leaves out are not looked at.
    mask : array (..., T)
        Boolean, or 0 and 1: the response with its end token, without prompt and padding.
    reduction : str
        "sum"; "mean" over the tokens that count; "none", an entry a token.

    Returns
    -------
    array (...) or (..., T)
        0 for a sequence whose mask is empty, for "mean" too.

    Raises
    ------
    TypeError
        If `logits` is not floating or `labels` not an integer array of its library.
    ValueError
        If shapes do not match, an entry of the mask is neither 0 nor 1, or a label that counts is
        not a token (where values are known; inside jit its sequence is NaN).

    Notes
    -----
    Half types are summed in float32 and returned as they came: cast logits whose log-probabilities
    will be subtracted. *Derivatives*: one-hot minus softmax where the mask is on, 0 elsewhere even
    if the logits are NaN there; of every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import sequence_logprob
    >>> labels, mask = np.asarray([[1, 0, 2]]), np.asarray([[False, True, True]])
    >>> sequence_logprob(np.zeros((1, 3, 4)), labels, mask).round(4)  # 2 log(1/4)
    array([-2.7726])
    """
    check_choice("reduction", reduction, ("sum", "mean", "none"))
    ready = Prepared("logits", logits)
    backend, xp = ready.backend, ready.xp
    shape = tuple(ready.x.shape[:-1])
    counted = read_mask(backend, "mask", mask, shape)
    index = _read_labels(ready, labels, shape, counted)
    token = _of_tokens(backend, ready.x, index)
    if not _finite(backend, token, counted):
        # What is masked may be NaN: its derivative would be too if it were only multiplied by 0.
        x = xp.where(counted[..., None], ready.x, xp.zeros_like(ready.x))
        token = _of_tokens(backend, x, index)
    token = xp.where(counted, token, xp.zeros_like(token))
    if reduction != "none":
        token = masked_sum(xp, token, counted, mean=reduction == "mean")
    return narrow(xp, token, ready.info, ready.dtype)


def _of_tokens(backend: Any, x: Array, index: Array) -> Array:
    """Return the log-probability of each token: minus its logistic loss, by the fused route."""
    xp = backend.namespace
    token = -logistic(x, index, reduction="none")
    # The loss of a row that excludes everything is 0, its tokens are impossible all the same.
    picked = chosen(backend, backend.stop_gradient(x), xp.where(index < 0, index * 0, index))
    return xp.where(picked == -_INF, xp.full_like(token, -_INF), token)


def _finite(backend: Any, token: Array, counted: Array) -> bool:
    """Whether values are known, and finite where they do not count."""
    plain = backend.stop_gradient(token)
    if backend.is_traced(plain) or backend.is_traced(counted):
        return False
    xp = namespace(plain, counted)
    return bool(xp.all(xp.isfinite(plain) | counted))


def masked_sum(xp: Any, x: Array, counted: Array, *, mean: bool = False) -> Array:
    """Return the sum over the last axis of values that are 0 where they do not count."""
    total = xp.sum(x, axis=-1)
    if not mean:
        return total
    number = xp.sum(xp.astype(counted, x.dtype), axis=-1)
    return total / xp.where(number < 1, xp.ones_like(number), number)


def read_mask(backend: Any, name: str, mask: Array, shape: tuple[int, ...]) -> Array:
    """Return a mask of numbers or booleans as booleans.

    Raises
    ------
    TypeError
        If it is no real array of the library.
    ValueError
        If it has not the shape, or an entry that is known is neither 0 nor 1.
    """
    check_array(name, mask, backend)
    xp = backend.namespace
    if tuple(mask.shape) != shape:
        raise ValueError(f"`{name}` must have the shape {shape}; got {tuple(mask.shape)}")
    if xp.isdtype(mask.dtype, "complex floating"):
        raise TypeError(f"`{name}` must be boolean or real; got {dtype_name(mask)}")
    plain = known_to(backend, backend.stop_gradient(mask))
    if xp.isdtype(plain.dtype, "bool"):
        return plain
    refuse_wrong(name, plain, (plain == 0) | (plain == 1), "must be 0 or 1")
    return plain != 0


def _read_labels(ready: Prepared, labels: Array, shape: tuple[int, ...], counted: Array) -> Array:
    """Return labels with 0 where they do not count, and -1 where they are found too late."""
    backend, xp = ready.backend, ready.xp
    check_array("labels", labels, backend)
    if not xp.isdtype(labels.dtype, "integral"):
        raise TypeError(f"`labels` must be an integer array; got {dtype_name(labels)}")
    if tuple(labels.shape) != shape:
        raise ValueError(
            f"`labels` must have the shape {shape} of `logits` without the vocabulary; "
            f"got {tuple(labels.shape)}"
        )
    size = ready.x.shape[-1]
    index = xp.astype(known_to(backend, labels), index_dtype(backend, ready.x))
    index = xp.where(counted, index, xp.zeros_like(index))
    outside = (index < 0) | (index >= size)
    if not backend.is_traced(outside) and bool(xp.any(outside)):
        raise ValueError(
            f"`labels` must be in [0, {size}) where the mask is on; got values in "
            f"[{int(xp.min(index))}, {int(xp.max(index))}]"
        )
    return xp.where(outside, xp.full_like(index, -1), index)


def shift_labels(logits: Array, tokens: Array, mask: Array, /) -> tuple[Array, Array, Array]:
    """Bring the logits that predict the next token under the token that they predict.

    Parameters
    ----------
    logits : array (..., T, V)
        What a causal model returns for `tokens`.
    tokens, mask : arrays (..., T)
        The tokens that the model was given, and those of them that count.

    Returns
    -------
    tuple of arrays
        The logits (..., T - 1, V) without the last, the labels and the mask (..., T - 1) without
        the first: the arguments of `sequence_logprob`.

    Raises
    ------
    TypeError
        If they are not arrays of one library.
    ValueError
        If the shapes do not match.

    Notes
    -----
    *Derivatives*: those of a slice.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import shift_labels
    >>> tokens = np.asarray([[5, 6, 7]])
    >>> shift_labels(np.zeros((1, 3, 9)), tokens, tokens > 5)[1]
    array([[6, 7]])
    """
    backend = backend_of(logits)
    shape = tuple(logits.shape[:-1])
    for name, x in (("tokens", tokens), ("mask", mask)):
        check_array(name, x, backend)
        if tuple(x.shape) != shape or not shape:
            raise ValueError(
                f"`{name}` must have the shape {shape} of `logits` without the vocabulary; "
                f"got {tuple(x.shape)}"
            )
    return logits[..., :-1, :], tokens[..., 1:], mask[..., 1:]
