"""Scores of a log-ratio: what other divergences than the reverse KL put in its place."""

from __future__ import annotations

from typing import Any

from ...arrays import check_choice, check_dtype, check_number, narrow, widen
from ...backend import backend_of
from ...special import log_expit

__all__ = ["divergence_score"]

Array = Any

_DIVERGENCES = ("reverse_kl", "forward_kl", "jensen_shannon", "alpha")


def divergence_score(
    rho: Array, /, *, divergence: str = "reverse_kl", alpha: float | None = None
) -> Array:
    r"""Return what stands for a log-ratio where the policy is regularised by an f-divergence.

    With :math:`u = e^\rho` this is :math:`f'(u)` up to a constant, which a loss of differences does
    not see: :math:`\rho` (reverse KL), :math:`1 - e^{-\rho}` (forward KL),
    :math:`\log \sigma(\rho)` (Jensen-Shannon),
    :math:`(e^{(\alpha - 1) \rho} - 1)/(\alpha - 1)` (alpha; :math:`\rho` at 1).

    Parameters
    ----------
    rho : array
        Log-ratios log pi - log pi_ref.
    divergence : str
        One of reverse_kl, forward_kl, jensen_shannon, alpha.
    alpha : float, optional
        For "alpha" only.

    Returns
    -------
    array
        Scores, to be given to `pair_loss` in place of the log-ratios.

    Raises
    ------
    TypeError
        If `rho` is not floating.
    ValueError
        If `divergence` is unknown, or `alpha` missing, or given to another one.

    Notes
    -----
    *Derivatives*: of every order. Source: arXiv 2309.16240.

    Examples
    --------
    >>> import numpy as np
    >>> divergence_score(np.asarray([0.0, 1.0]), divergence="forward_kl").round(3)
    array([0.   , 0.632])
    """
    xp, info = backend_of(rho).namespace, check_dtype("rho", rho)
    check_choice("divergence", divergence, _DIVERGENCES)
    if (alpha is None) == (divergence == "alpha"):
        raise ValueError(
            f"`alpha` must be given for the divergence alpha, and for no other; got alpha={alpha}"
        )
    if divergence == "reverse_kl":
        return rho
    wide = widen(xp, rho, info)
    if divergence == "jensen_shannon":
        score = log_expit(wide)
    else:
        power = -1.0 if alpha is None else check_number("alpha", alpha) - 1.0
        score = wide if power == 0.0 else xp.expm1(power * wide) / power
    return narrow(xp, score, info, rho.dtype)
