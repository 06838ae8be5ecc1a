"""Losses that keep experts busy and logits small, from softmax probabilities: one value a group.

Tokens that are masked, or whose logits are all -inf, are in no sum and in no count.
"""

from __future__ import annotations

from ..arrays import check_choice, check_integer
from ..backend import Array
from ..special import logsumexp
from ._token_means import assignment_counts, mean_over_tokens, open_loss, or_zero, variation

__all__ = ["gshard_loss", "importance_loss", "switch_loss", "z_loss"]


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


def gshard_loss(logits: Array, /, *, where: Array | None = None) -> Array:
    r"""Return :math:`m \sum_e f_e \bar\Pi_e`, with f the shares of first choices.

    :math:`\bar\Pi` is the mean probability. `switch_loss` at k = 1.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are groups.
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a group: 1 if first choices or mean probabilities are uniform, 0 without tokens.

    Raises
    ------
    TypeError
        If `logits` is not floating, or `where` not boolean.
    ValueError
        If shapes do not match.

    Notes
    -----
    It is not bounded below by 1. *Derivatives*: in the logits through the mean probability; the
    shares are constants.

    References
    ----------
    D. Lepikhin et al., "GShard", 2020, arXiv 2006.16668.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import gshard_loss
    >>> float(gshard_loss(np.asarray([[1.0, 0.0], [0.0, 1.0]])))
    1.0
    """
    return switch_loss(logits, k=1, where=where)


def switch_loss(
    logits: Array, /, *, k: int = 1, normalize: str = "assignment", where: Array | None = None
) -> Array:
    r"""Return :math:`m \sum_e f_e \bar\Pi_e`, with f the shares of the k best choices.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are groups.
    k : int
        Experts a token.
    normalize : {"assignment", "token"}
        What the shares are of: of the n k assignments, so that balance gives 1 (V-MoE, Tutel,
        MegaBlocks, Megatron), or of the n tokens, so that it gives k (flaxformer, Mixtral in
        transformers).
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a group; 0 without tokens or choices.

    Raises
    ------
    TypeError
        If `logits` is not floating, `where` not boolean, or `k` no integer.
    ValueError
        If shapes do not match, `k` is not in [0, m], or `normalize` is unknown.

    Notes
    -----
    *Derivatives*: in the logits through the mean probability; the shares are constants:
    :math:`(m / n) \, \Pi \circ (f - \langle \Pi, f \rangle)` a token.

    References
    ----------
    W. Fedus et al., "Switch transformers", 2021, arXiv 2101.03961.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import switch_loss
    >>> logits = np.asarray([[3.0, 2.0, 0.0], [0.0, 3.0, 2.0], [2.0, 0.0, 3.0]])
    >>> round(float(switch_loss(logits, k=2)), 6)
    1.0
    >>> round(float(switch_loss(logits, k=2, normalize="token")), 6)
    2.0
    """
    check_choice("normalize", normalize, ("assignment", "token"))
    problem = open_loss(logits, where)
    k = check_integer("k", k, minimum=0, maximum=problem.n_experts)
    xp = problem.backend.namespace
    count = assignment_counts(problem, k)
    total = xp.sum(xp.astype(problem.routed, count.dtype), axis=-1) * max(k, 1)
    share = xp.divide(count, xp.where(total > 0, total, xp.ones_like(total))[..., None])
    products = xp.multiply(share, mean_over_tokens(problem, problem.softmax()))
    scale = problem.n_experts * (k if normalize == "token" else 1)
    return or_zero(problem, scale * xp.sum(products, axis=-1))


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
