"""The argmax regularised by an f-divergence from a reference measure."""

from __future__ import annotations

from typing import Any

from ._arguments import finish, prepare, temperature_of, with_temperature
from ._divergences import Divergence, check_divergence, reference_rows, row_alpha
from ._f_roots import anchored_formula, linear_formula, threshold_formula
from ._f_steep import weighted_steep_formula
from ._scores import hard_argmax, shifted
from .entmax import entmax_scores
from .softmax import softmax_formula

__all__ = ["f_argmax", "f_argmax_formula", "masked_by"]

Array = Any


def f_argmax(
    x: Array,
    /,
    *,
    divergence: str = "kl",
    reference: Array | None = None,
    alpha: Any = None,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
) -> Array:
    r"""Maximiser over the simplex of :math:`\langle p, x \rangle - \tau D_f(p, q)`.

    :math:`D_f(p, q) = \sum_i q_i f(p_i/q_i)` with a reference measure q, which need not sum to 1.
    The solution is :math:`p_i = q_i (f^*)'(\max(x_i/\tau - t, f'(0)))`, t such that it sums to 1.
    For "kl" it is softmax(x/tau + log q), for "chi2" sparsemax and for "alpha" entmax, if q = 1.

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype; -inf entries get 0.
    divergence : str
        "kl" (f(u) = u log u - u + 1), "reverse_kl" (u - 1 - log u), "jensen_shannon" (u log u -
        (u + 1) log((u + 1)/2)), "chi2" ((u - 1)^2/2), "neyman_chi2" ((u - 1)^2/(2u)),
        "squared_hellinger" ((sqrt(u) - 1)^2) or "alpha"
        ((u^alpha - 1 - alpha (u - 1))/(alpha (alpha - 1))).
    reference : array (n,) or like `x`, optional
        The measure q > 0, by default 1; an entry that is 0 (or below the smallest normal number)
        is out, as a score of -inf is.
    alpha : number or array (..., 1), optional
        Exponent of "alpha", any finite number; differentiated if an array, at 0, 1 and 2 too.
    temperature : number or array (..., 1)
        At least 0; 0 is the hard argmax, ties sharing equally.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; a row with none is all 0.

    Returns
    -------
    array (..., n)
        Probabilities, of the dtype of `x`; with exact zeros for "chi2", and for "alpha" above 1.

    Raises
    ------
    TypeError
        If `x` or `reference` is not a floating array, or they are of two libraries.
    ValueError
        If the divergence is unknown, `alpha` is given without need or missing, `reference` does not
        broadcast, `temperature` is negative, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `reference`, `alpha` and `temperature`, to order three wherever the
    support is locally constant. With s_i = q_i/f''(p_i/q_i) the Jacobian in x/tau is
    diag(s) - s s^T/sum(s). Source: arXiv 2501.18537.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.operators import f_argmax
    >>> x, prior = np.asarray([1.0, 1.0, 0.5]), np.asarray([0.7, 0.2, 0.1])
    >>> f_argmax(x, reference=prior).round(4)
    array([0.7287, 0.2082, 0.0631])
    >>> f_argmax(x, divergence="jensen_shannon").round(4)
    array([0.3961, 0.3961, 0.2078])
    """
    chosen = check_divergence(divergence, alpha)
    options = tuple(value for value in (temperature, reference, alpha) if value is not None)
    ready = prepare(x, axis, where, options)
    backend, scores = ready.backend, ready.x
    chosen = row_alpha(backend, chosen, x, ready.axis)
    temperature = temperature_of(backend, temperature, x, ready.axis)
    q = None
    if reference is not None:
        q, out = reference_rows(backend, reference, x, ready.axis)
        scores = masked_by(backend, scores, out)
    return finish(
        ready,
        with_temperature(
            backend,
            temperature,
            lambda positive: f_argmax_formula(
                backend, shifted(backend, scores, positive * chosen.factor), q, chosen
            ),
            lambda: hard_argmax(backend, scores),
        ),
    )


def masked_by(backend: Any, x: Array, out: Array) -> Array:
    """Return scores with the entries that are out at -inf."""
    xp = backend.namespace
    return xp.where(out, xp.full_like(x, float("-inf")), x)


def f_argmax_formula(backend: Any, z: Array, q: Array | None, divergence: Divergence) -> Array:
    """Return the maximiser for shifted scores divided by the factor of the divergence."""
    alpha = divergence.alpha
    if alpha is None:
        return anchored_formula(backend, z, _log(backend, z, q), None)
    if not isinstance(alpha, float):
        return _any_alpha(backend, z, q, alpha)
    if q is None and alpha >= 1.0:
        return entmax_scores(backend, z, alpha, 1.0)
    if alpha == 1.0:
        return softmax_formula(backend, z + _log(backend, z, q), 1.0)
    if alpha < 1.0:
        return anchored_formula(backend, z, _log(backend, z, q), alpha)
    if alpha == 2.0:
        return linear_formula(backend, z, q)
    return (threshold_formula if alpha < 2.0 else weighted_steep_formula)(backend, z, q, alpha)


def _log(backend: Any, z: Array, q: Array | None) -> Array:
    xp = backend.namespace
    return xp.zeros_like(z) if q is None else xp.log(q)


def _any_alpha(backend: Any, z: Array, q: Array | None, alpha: Array) -> Array:
    """Each row by the route of its exponent; the others see a harmless one."""
    xp = backend.namespace
    data = backend.stop_gradient(alpha)
    low, steep = data < 1.0, data > 2.0
    ones = xp.ones_like(alpha)
    p = anchored_formula(backend, z, _log(backend, z, q), xp.where(low, alpha, ones * 0.5))
    if q is None:
        return xp.where(low, p, entmax_scores(backend, z, xp.where(low, ones, alpha), 1.0))
    gentle = threshold_formula(backend, z, q, xp.where(low | steep, ones * 1.5, alpha))
    high = weighted_steep_formula(backend, z, q, xp.where(steep, alpha, ones * 3.0))
    return xp.where(low, p, xp.where(steep, high, gentle))
