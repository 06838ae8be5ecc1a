"""Kullback-Leibler divergence of a policy from its reference: from samples, or from logits."""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice, check_dtype, narrow, widen
from ..backend import backend_of
from ..parameters import check_array, known_to
from ._logits import Prepared, log_softmax
from ._values import same_dtype
from .logprob import masked_sum, read_mask

__all__ = ["kl_estimate", "kl_exact"]

Array = Any

_INF = float("inf")


def kl_estimate(
    logp: Array, logp_ref: Array, mask: Array | None = None, /, *, kind: str = "k1"
) -> Array:
    r"""Estimate KL(pi, pi_ref) from samples of pi, one estimate a sample.

    With :math:`d = \log \pi(y) - \log \pi_{ref}(y)`: k1 is d, k2 is :math:`d^2/2` and k3 is
    :math:`e^{-d} - 1 + d`.

    Parameters
    ----------
    logp, logp_ref : array (...)
        Log-probabilities of tokens or of sequences that `logp`'s model has drawn.
    mask : array (...), optional
        Boolean or 0 and 1: what counts. The last axis is then summed.
    kind : str
        "k1" (unbiased), "k2" (biased, small variance), "k3" (unbiased, never negative; its
        variance is small only near the reference).

    Returns
    -------
    array
        Elementwise, or without the last axis if there is a mask.

    Raises
    ------
    TypeError
        If the log-probabilities are not floating arrays of one library and dtype.
    ValueError
        If shapes differ, or `kind` is unknown.

    Notes
    -----
    Entries that do not count may be NaN. *Derivatives*: of every order, as of a function of the
    log-probabilities (which is not the gradient of the divergence). Source: J. Schulman,
    "Approximating KL divergence", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import kl_estimate
    >>> kl_estimate(np.asarray([-1.0, -2.0]), np.asarray([-1.5, -1.5]), kind="k3").round(4)
    array([0.1065, 0.1487])
    """
    check_choice("kind", kind, ("k1", "k2", "k3"))
    check_array("logp_ref", logp_ref, backend_of(logp))
    backend = backend_of(logp, logp_ref)
    info, xp = check_dtype("logp", logp), backend.namespace
    same_dtype("logp_ref", logp_ref, logp)
    _same_shape("logp_ref", logp_ref, tuple(logp.shape))
    own, other = (widen(xp, known_to(backend, x), info) for x in (logp, logp_ref))
    counted = None if mask is None else read_mask(backend, "mask", mask, tuple(logp.shape))
    if counted is not None:
        own, other = (xp.where(counted, x, xp.zeros_like(x)) for x in (own, other))
    d = own - other
    if kind == "k2":
        d = 0.5 * d * d
    elif kind == "k3":
        d = _k3(xp, d)
    if counted is not None:
        d = masked_sum(xp, d, counted)
    return narrow(xp, d, info, logp.dtype)


def _k3(xp: Any, d: Array) -> Array:
    """Return exp(-d) - 1 + d: inf at -inf, and 0 where rounding makes it negative."""
    far = d == -_INF
    near = xp.where(far, xp.zeros_like(d), d)
    value = xp.expm1(-near) + near
    value = xp.where(value < 0, xp.zeros_like(d), value)
    return xp.where(far, xp.full_like(value, _INF), value)


def kl_exact(logits: Array, logits_ref: Array, mask: Array | None = None, /) -> Array:
    r"""Divergence of next-token distributions, summed along each sequence.

    :math:`\sum_t m_t \sum_v \pi_t(v) (\log \pi_t(v) - \log \pi_{ref,t}(v))`. Over sequences that
    the policy has drawn its mean is the divergence of the sequences, with a smaller variance than
    `kl_estimate`.

    Parameters
    ----------
    logits, logits_ref : array (..., T, V)
        Logits of the policy and of the reference.
    mask : array (..., T), optional
        Boolean or 0 and 1: places that count, by default all.

    Returns
    -------
    array (...)
        inf where the reference excludes what the policy does not.

    Raises
    ------
    TypeError
        If the logits are not floating arrays of one library and dtype.
    ValueError
        If shapes do not match.

    Notes
    -----
    *Derivatives*: of every order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import kl_exact
    >>> policy, reference = np.asarray([[[1.0, 0.0]]]), np.zeros((1, 1, 2))
    >>> kl_exact(policy, reference).round(4)
    array([0.1109])
    """
    check_array("logits_ref", logits_ref, backend_of(logits))
    ready, other = Prepared("logits", logits, logits_ref), Prepared("logits_ref", logits_ref)
    same_dtype("logits_ref", logits_ref, logits)
    backend, xp = ready.backend, ready.xp
    shape = tuple(logits.shape)
    _same_shape("logits_ref", logits_ref, shape)
    if len(shape) < 2:
        raise ValueError(f"`logits` must have shape (..., T, V); got {shape}")
    x, y = ready.x, known_to(backend, other.x)
    counted = None
    if mask is not None:
        counted = read_mask(backend, "mask", mask, shape[:-1])
        x, y = (xp.where(counted[..., None], v, xp.zeros_like(v)) for v in (x, y))
    p, q = log_softmax(x), log_softmax(y)
    # 0 log 0: a token that the policy excludes adds nothing.
    gone = backend.stop_gradient(p) == -_INF
    zero = xp.zeros_like(p)
    gap = xp.where(gone, zero, p) - xp.where(gone, zero, q)
    rows = xp.sum(xp.exp(p) * gap, axis=-1)
    return narrow(xp, xp.sum(rows, axis=-1), ready.info, ready.dtype)


def _same_shape(name: str, x: Array, shape: tuple[int, ...]) -> None:
    if tuple(x.shape) != shape:
        raise ValueError(f"`{name}` must have the shape {shape}; got {tuple(x.shape)}")
