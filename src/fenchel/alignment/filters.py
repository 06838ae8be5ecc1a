"""What is done to logits between mixing and sampling: temperature, top-k, top-p."""

from __future__ import annotations

from typing import Any

from ..arrays import check_integer, check_number, narrow
from ..parameters import row_parameter
from ..special import logsumexp
from ._logits import Prepared
from ._values import refuse_wrong
from .dera import refuse_all_masked

__all__ = ["filter_logits"]

Array = Any

_INF = float("inf")


def filter_logits(
    logits: Array, /, *, temperature: Any = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Array:
    """Divide logits by a temperature, then keep the `top_k` best, then the nucleus of `top_p`.

    Parameters
    ----------
    logits : array (..., V)
        Logits; -inf stays.
    temperature : number or array (..., 1)
        At least 0; 0 leaves the largest logits alone, each 0.
    top_k : int
        How many tokens to keep, with all that tie with the last; 0 keeps all.
    top_p : float
        Keep the fewest best tokens whose probability together reaches this number in [0, 1];
        always one. Of equal tokens the lower index comes first. 1 keeps all.

    Returns
    -------
    array (..., V)
        Logits, -inf where the token is dropped.

    Raises
    ------
    TypeError
        If `logits` is not a floating array.
    ValueError
        If a number is out of range, or all tokens of a row are masked (where values are known).

    Notes
    -----
    The order of operations is that of the transformers library. *Derivatives*: of the tokens kept;
    which ones these are is a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import filter_logits
    >>> filter_logits(np.asarray([3.0, 1.0, 2.0, 0.0]), temperature=2.0, top_k=3, top_p=0.8)
    array([ 1.5, -inf,  1. , -inf])
    """
    ready = Prepared("logits", logits)
    xp, backend = ready.xp, ready.backend
    top_k = check_integer("top_k", top_k, minimum=0)
    top_p = check_number("top_p", top_p, minimum=0.0, maximum=1.0)
    tau = row_parameter(backend, "temperature", temperature, logits, logits.ndim - 1, minimum=0.0)
    if not isinstance(tau, float):
        refuse_wrong("temperature", tau, tau >= 0, "must be at least 0")
    refuse_all_masked(backend, ready.x)
    x = _cooled(backend, ready.x, tau)
    if 0 < top_k < x.shape[-1]:
        plain = backend.stop_gradient(x)
        border = backend.top_k(plain, top_k)[0][..., -1:]
        x = xp.where(plain < border, xp.full_like(x, -_INF), x)
    if top_p < 1.0:
        x = xp.where(_nucleus(backend, x, top_p), x, xp.full_like(x, -_INF))
    return narrow(xp, x, ready.info, ready.dtype)


def _cooled(backend: Any, x: Array, tau: Any) -> Array:
    """Return logits over the temperature; at 0 the largest alone."""
    if isinstance(tau, float) and tau > 0.0:
        return x if tau == 1.0 else x / tau
    xp = backend.namespace
    best = x == xp.max(x, axis=-1, keepdims=True)
    hard = xp.where(best, xp.zeros_like(x), xp.full_like(x, -_INF))
    if isinstance(tau, float):
        return hard
    return xp.where(tau > 0, x / xp.where(tau > 0, tau, xp.ones_like(tau)), hard)


def _nucleus(backend: Any, x: Array, top_p: float) -> Array:
    """Return which tokens the ones before them leave short of `top_p`, by falling probability."""
    xp = backend.namespace
    plain = backend.stop_gradient(x)
    order = xp.argsort(-plain, axis=-1, stable=True)
    p = xp.take_along_axis(xp.exp(plain - logsumexp(plain, keepdims=True)), order, axis=-1)
    before = xp.cumulative_sum(p, axis=-1) - p
    first = xp.arange(x.shape[-1], device=backend.device_of(plain)) == 0
    kept = first | ~(before >= top_p)  # where a logit is NaN, all of them
    return xp.take_along_axis(kept, xp.argsort(order, axis=-1), axis=-1)
