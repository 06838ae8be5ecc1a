"""Decoding-time realignment: mix the logits of a reference and of aligned models (DeRa)."""

from __future__ import annotations

from numbers import Real
from typing import Any

from ..arrays import FloatInfo, check_dtype, check_number, dtype_name, narrow, widen
from ..backend import backend_of, namespace
from ..parameters import check_array, known_to
from ..special import logsumexp
from ._logits import log_softmax
from ._values import refuse_wrong, same_dtype

__all__ = ["mixture", "realign_log_partition", "realign_logits", "realigned", "refuse_all_masked"]

Array = Any

_INF = float("inf")
# Embeddings are padded to a multiple that suits the device; tokenizers differ by more.
_MOST_PADDING = 1024


def realign_logits(sft: Array, aligned: Any, strength: Any) -> Array:
    r"""Logits of the realigned model, :math:`h_{sft} + \sum_i \lambda_i (h_i - h_{sft})`.

    Strength 0 is the reference, 1 the aligned model; above 1 the model is aligned as if it had been
    trained with the smaller regularization beta / strength, below 0 it is turned away.

    Parameters
    ----------
    sft : array (..., V)
        Logits of the reference (the model that was fine-tuned).
    aligned : array (..., V), or list of such arrays
        Logits of the aligned model, or of several. A vocabulary may be longer by less than 1024
        padding columns.
    strength : number, array (...) or (..., 1), or list of them
        Lambda, one a row if it is an array; for several models a list, or one for all of them.

    Returns
    -------
    array (..., V)
        Logits. A token that is -inf in one of the models is -inf, and so is a padding column.

    Raises
    ------
    TypeError
        If the logits are not floating arrays of one library and dtype.
    ValueError
        If shapes do not match, `strength` is not finite, or all tokens of a row are masked. Values
        of arrays are looked at where they are known.

    Notes
    -----
    Adding a constant to the logits of a model changes nothing but a constant. *Derivatives*: in the
    logits and in `strength`, of every order. Source: arXiv 2402.02992.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import realign_logits
    >>> sft, aligned = np.asarray([[0.0, 1.0]]), np.asarray([[2.0, -np.inf]])
    >>> realign_logits(sft, aligned, 0.5)
    array([[  1., -inf]])
    """
    return realigned(sft, aligned, strength, normalise=False)[0]


def realign_log_partition(sft: Array, aligned: Any, strength: Any) -> Array:
    r"""Logarithm of what the mixture of next-token distributions sums to.

    :math:`\log Z = \log \sum_v \pi_{sft}(v)^{1 - \lambda} \pi(v)^\lambda`, which is
    :math:`(\lambda - 1) D_\lambda(\pi | \pi_{sft})` with Rényi's divergence: at most 0 for
    strengths in [0, 1], at least 0 outside. Its sum along a response is the logarithm of the weight
    that turns a response drawn token by token into one of the sequence-level mixture.

    Parameters
    ----------
    sft, aligned, strength
        As for `realign_logits`; the logits need not be normalised.

    Returns
    -------
    array (...)
        One number a row.

    Raises
    ------
    TypeError, ValueError
        As `realign_logits`.

    Notes
    -----
    *Derivatives*: in the logits and in `strength`, of every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import realign_log_partition
    >>> sft, aligned = np.asarray([0.0, 0.0]), np.asarray([2.0, 0.0])
    >>> [round(float(realign_log_partition(sft, aligned, s)), 4) for s in (0.5, 2.0)]
    [-0.0968, 0.4574]
    """
    mixed, info, dtype = realigned(sft, aligned, strength, normalise=True)
    return narrow(backend_of(mixed).namespace, logsumexp(mixed), info, dtype)


def realigned(
    sft: Array, aligned: Any, strength: Any, *, normalise: bool
) -> tuple[Array, FloatInfo, Any]:
    """Return the mixed logits, narrowed unless they are yet to be summed."""
    models = list(aligned) if isinstance(aligned, list | tuple) else [aligned]
    if not models:
        raise ValueError("`aligned` must hold at least one model; got none")
    strengths = _strengths(strength, len(models))
    backend = backend_of(sft)
    for name, values in (("aligned", models), ("strength", strengths)):
        for value in values:
            if value is not None and not isinstance(value, Real):
                check_array(name, value, backend)
    backend = backend_of(sft, *models, *(s for s in strengths if s is not None))
    info, xp = check_dtype("sft", sft), backend.namespace
    logits = _same_vocabulary(backend, [sft, *models])
    rows = [_row_strength(backend, value, logits[0], info) for value in strengths]
    wide = [widen(xp, x, info) for x in logits]
    mixed = mixture(backend, wide, rows, normalise=normalise)
    return (mixed if normalise else narrow(xp, mixed, info, sft.dtype)), info, sft.dtype


def mixture(backend: Any, logits: list[Array], strengths: list[Any], *, normalise: bool) -> Array:
    """Mix prepared logits: one more model, the first, than strengths."""
    if _nothing_masked(backend, logits):
        return _combined([log_softmax(x) for x in logits] if normalise else logits, strengths)
    xp = backend.namespace
    stop = backend.stop_gradient
    masked = stop(logits[0]) == -_INF
    for x in logits[1:]:
        masked = masked | (stop(x) == -_INF)
    if normalise:
        logits = [log_softmax(x) for x in logits]
    # Decided before arithmetic: 0 times -inf and -inf less -inf would be NaN.
    mixed = _combined([xp.where(masked, xp.zeros_like(x), x) for x in logits], strengths)
    mixed = xp.where(masked, xp.full_like(mixed, -_INF), mixed)
    refuse_all_masked(backend, mixed)
    return mixed


def _combined(logits: list[Array], strengths: list[Any]) -> Array:
    """Return the first logits times what the strengths leave, plus the others times theirs."""
    total: Any = 0.0
    for strength in strengths:
        total = total + strength
    mixed = (1.0 - total) * logits[0]
    for x, strength in zip(logits[1:], strengths, strict=True):
        mixed = mixed + strength * x
    return mixed


def _nothing_masked(backend: Any, logits: list[Array]) -> bool:
    """Whether values are known, and none is -inf or NaN."""
    for x in logits:
        plain = backend.stop_gradient(x)
        if 0 in plain.shape or backend.is_traced(plain):
            return False
        if not bool(namespace(plain).min(plain) > -_INF):
            return False
    return True


def refuse_all_masked(backend: Any, logits: Array) -> None:
    """Raise ValueError if a row has no token left and the values are known."""
    plain = backend.stop_gradient(logits)
    xp = backend.namespace
    if not backend.is_traced(plain) and bool(xp.any(xp.all(plain == -_INF, axis=-1))):
        raise ValueError("`logits` must leave a token in each row; got one with all masked")


def _strengths(strength: Any, count: int) -> list[Any]:
    if not isinstance(strength, list | tuple):
        return [strength] * count
    if len(strength) != count:
        raise ValueError(
            f"`strength` must have one entry for each of the {count} aligned models; "
            f"got {len(strength)}"
        )
    return list(strength)


def _same_vocabulary(backend: Any, logits: list[Array]) -> list[Array]:
    """Return the logits of all models, padded with -inf to the longest vocabulary."""
    xp, sft = backend.namespace, logits[0]
    if sft.ndim == 0:
        raise ValueError("`sft` must have shape (..., V); got a scalar")
    for x in logits:
        same_dtype("aligned", x, sft)
        if tuple(x.shape[:-1]) != tuple(sft.shape[:-1]):
            raise ValueError(
                f"`aligned` must have the batch shape {tuple(sft.shape[:-1])} of `sft`; "
                f"got shape {tuple(x.shape)}"
            )
    sizes = [x.shape[-1] for x in logits]
    if min(sizes) == 0 or max(sizes) - min(sizes) >= _MOST_PADDING:
        raise ValueError(
            "`aligned` must have the vocabulary of `sft` up to padding; "
            f"got sizes {', '.join(map(str, sizes))}"
        )
    known = [known_to(backend, x) for x in logits]
    return [padded(xp, x, max(sizes)) for x in known]


def padded(xp: Any, x: Array, size: int) -> Array:
    """Return logits with columns of -inf up to a size."""
    extra = size - x.shape[-1]
    if extra == 0:
        return x
    columns = xp.zeros_like(x[..., :1]) - _INF
    return xp.concat((x, xp.broadcast_to(columns, (*x.shape[:-1], extra))), axis=-1)


def _row_strength(backend: Any, value: Any, sft: Array, info: FloatInfo) -> Any:
    """Return a strength as a number, or an array (..., 1)."""
    if value is None or isinstance(value, Real):
        number = check_number("strength", value)
        if abs(number) == _INF:
            raise ValueError(f"`strength` must be finite; got strength={number:g}")
        return number
    xp, wanted = backend.namespace, tuple(sft.shape)
    came = shape = tuple(value.shape)
    if not xp.isdtype(value.dtype, ("real floating", "integral")):
        raise TypeError(f"`strength` must be a real number or array; got {dtype_name(value)}")
    value = known_to(backend, value)
    if len(shape) == len(wanted) - 1:
        value, shape = value[..., None], (*shape, 1)
    fits = len(shape) <= len(wanted) and all(
        m in (1, n) for m, n in zip(shape[-2::-1], wanted[-2::-1], strict=False)
    )
    if shape and (shape[-1] != 1 or not fits):
        raise ValueError(
            f"`strength` must be a number or one a row of the batch {wanted[:-1]}; got shape {came}"
        )
    value = xp.astype(value, xp.float32 if info.half else sft.dtype)
    refuse_wrong("strength", value, xp.isfinite(value), "must be finite")
    return value
