"""Losses that keep the choices of tokens even: shares of the choices times mean probabilities.

One value a group. Tokens that are masked, or whose logits are all -inf, are in no sum and in no
count.
"""

from __future__ import annotations

from ..arrays import check_choice, check_integer
from ..backend import Array
from ..operators.softmax import softmax_formula
from ..special import log_expit
from ._problem import Problem
from ._token_means import assignment_counts, mean_over_tokens, open_loss, or_zero

__all__ = ["gshard_loss", "sequence_balance_loss", "switch_loss"]


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
    loss = _share_times_mean(problem, problem.softmax(), k)
    return or_zero(problem, k * loss if normalize == "token" else loss)


def sequence_balance_loss(logits: Array, /, *, k: int = 1, where: Array | None = None) -> Array:
    r"""Return :math:`m \sum_e f_e P_e` of sigmoids: balance within a sequence, for "bias_balanced".

    :math:`P_e` is the mean of :math:`s_{te} / \sum_j s_{tj}` with s the sigmoids of the logits, and
    f the shares of the k largest of them, without a bias. DeepSeek-V3 adds it with a factor of 1e-4
    to what the bias does across sequences.

    Parameters
    ----------
    logits : array (..., n, m)
        Scores of n tokens for m experts, real floating; leading axes are sequences.
    k : int
        Experts a token.
    where : boolean array (..., n), optional
        Tokens that take part.

    Returns
    -------
    array (...)
        One value a sequence: 1 in balance, 0 without tokens or choices.

    Raises
    ------
    TypeError
        If `logits` is not floating, `where` not boolean, or `k` no integer.
    ValueError
        If shapes do not match, or `k` is not in [0, m].

    Notes
    -----
    *Derivatives*: in the logits through P, to every order; the shares are constants.

    References
    ----------
    DeepSeek-AI, "DeepSeek-V3 technical report", 2024, arXiv 2412.19437, section 2.1.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import sequence_balance_loss
    >>> float(sequence_balance_loss(np.asarray([[0.0, -50.0], [-50.0, 0.0]])))
    1.0
    >>> float(sequence_balance_loss(np.asarray([[0.0, -50.0], [0.0, -50.0]])))
    2.0
    """
    problem = open_loss(logits, where)
    k = check_integer("k", k, minimum=0, maximum=problem.n_experts)
    if problem.n_tokens == 0:
        return or_zero(problem, _share_times_mean(problem, problem.logits, k))
    # s / sum(s) is the softmax of log(s), which does not underflow.
    normalised = softmax_formula(problem.backend, log_expit(problem.logits), 1.0)
    return or_zero(problem, _share_times_mean(problem, normalised, k))


def _share_times_mean(problem: Problem, probabilities: Array, k: int) -> Array:
    """Return m times the product of the shares of the k best choices with mean probabilities."""
    xp = problem.backend.namespace
    count = assignment_counts(problem, k)
    total = xp.sum(xp.astype(problem.routed, count.dtype), axis=-1) * max(k, 1)
    share = xp.divide(count, xp.where(total > 0, total, xp.ones_like(total))[..., None])
    products = xp.multiply(share, mean_over_tokens(problem, probabilities))
    return problem.n_experts * xp.sum(products, axis=-1)
