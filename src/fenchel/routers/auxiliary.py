"""Losses that keep experts evenly probable, and logits small: one value a group.

Tokens that are masked, or whose logits are all -inf, are in no sum and in no count.
"""

from __future__ import annotations

from ..backend import Array
from ..special import logsumexp
from ._token_means import mean_over_tokens, open_loss, or_zero, variation

__all__ = ["importance_loss", "z_loss"]


def importance_loss(logits: Array, /, *, where: Array | None = None) -> Array:
    r"""Return the squared coefficient of variation of the experts' importance.

    The importance of an expert is its probability summed over the tokens,
    :math:`I_e = \sum_t \Pi_{te}`; the loss is their variance (population) over their squared mean.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are groups.
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a group, between 0 (balanced) and m - 1; 0 without tokens.

    Raises
    ------
    TypeError
        If `logits` is not floating, or `where` not boolean.
    ValueError
        If shapes do not match.

    Notes
    -----
    *Derivatives*: in the logits, to every order.

    References
    ----------
    C. Riquelme et al., "Scaling vision with sparse mixture of experts", 2021, arXiv 2106.05974.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import importance_loss
    >>> float(importance_loss(np.asarray([[50.0, 0.0], [0.0, 50.0]])))
    0.0
    >>> round(float(importance_loss(np.asarray([[50.0, 0.0], [50.0, 0.0]]))), 6)
    1.0
    """
    problem = open_loss(logits, where)
    mean = mean_over_tokens(problem, problem.softmax())
    # Probabilities sum to one: the mean of the means is 1/m, and no gradient flows through it.
    xp = problem.backend.namespace
    uniform = xp.full_like(mean[..., :1], 1.0 / problem.n_experts)
    return or_zero(problem, variation(problem, mean, uniform))


def z_loss(logits: Array, /, *, where: Array | None = None) -> Array:
    """Return the mean of the squared log-sum-exp of the logits, which keeps them small.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are groups.
    where : boolean array (..., n), optional
        Tokens that take part; the mean is over these.

    Returns
    -------
    array (...)
        One value a group; 0 without tokens.

    Raises
    ------
    TypeError
        If `logits` is not floating, or `where` not boolean.
    ValueError
        If shapes do not match.

    Notes
    -----
    *Derivatives*: in the logits, to every order.

    References
    ----------
    B. Zoph et al., "ST-MoE", 2022, arXiv 2202.08906.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import z_loss
    >>> round(float(z_loss(np.zeros((5, 4)))), 6)  # log(4)^2
    1.921812
    """
    problem = open_loss(logits, where)
    xp = problem.backend.namespace
    total = logsumexp(problem.logits, axis=-1, keepdims=True)
    total = xp.where(problem.routed[..., None], total, xp.zeros_like(total))
    return or_zero(problem, mean_over_tokens(problem, total * total)[..., 0])
