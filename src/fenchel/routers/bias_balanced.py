r"""Sigmoid routing with a bias that balances the load, arXiv 2408.15664 and 2412.19437.

With s = sigmoid(logits) a token asks for the k largest of s + bias, among the experts of its best
groups where those are limited, and the weight is s_e / (sum of s over the chosen + 1e-20). The bias
only selects; it gets no gradient.
"""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, check_integer
from ..backend import Array
from ..operators.softmax import softmax
from ..parameters import broadcasts, check_array
from ..special import expit
from ._indices import gather_last
from ._options import Options
from ._problem import Problem, constant
from .routing import Routing
from .token_choice import best_experts, fill
from .weights import chosen_weights

__all__ = ["bias_balanced"]

_TINY = 1e-20


def bias_balanced(problem: Problem, options: Options) -> Routing:
    """Each token asks for the experts of its largest biased sigmoids."""
    xp = problem.backend.namespace
    sigmoid = expit(problem.logits)
    scores = _choice_scores(problem, options, problem.constant(sigmoid))
    index, wanted = best_experts(problem, scores, options.k)
    if options.weights is None:
        found = gather_last(xp, sigmoid, index)
        found = xp.where(wanted, found, xp.zeros_like(found))
        weight = found / (xp.sum(found, axis=-1, keepdims=True) + _TINY)
        return fill(problem, options, index, wanted, weight)
    probabilities = softmax(problem.logits)
    weight = chosen_weights(problem, options, index, wanted, probabilities)
    return fill(problem, options, index, wanted, weight, None, probabilities)


def _choice_scores(problem: Problem, options: Options, sigmoid: Array) -> Array:
    """Return sigmoid + bias, -inf where nothing may be chosen, NaN nowhere."""
    xp = problem.plain.namespace
    scores = sigmoid
    if options.bias is not None:
        scores = sigmoid + _bias(problem, options.bias)
    scores = xp.where(problem.valid, scores, xp.full_like(scores, float("-inf")))
    if options.n_group is None:
        if options.topk_group is not None:
            raise ValueError("`topk_group` needs `n_group`; got n_group=None")
        return scores
    return _within_groups(problem, options, scores)


def _bias(problem: Problem, bias: Array) -> Array:
    """Return the bias in the dtype of the scores, checked."""
    check_array("bias", bias, problem.backend)
    check_dtype("bias", bias)
    m = problem.n_experts
    groups = tuple(problem.logits.shape[:-2])
    given = tuple(bias.shape)
    if given[-1:] != (m,) or not broadcasts(given[:-1], groups):
        raise ValueError(
            f"`bias` must have the shape ({m},) or broadcast to {(*groups, m)}; got {given}"
        )
    xp = problem.plain.namespace
    value = xp.astype(constant(problem.backend, bias), problem.logits.dtype)
    return value if value.ndim == 1 else value[..., None, :]


def _within_groups(problem: Problem, options: Options, scores: Array) -> Array:
    """Return the scores with -inf outside of the best groups of experts of each token.

    A group is worth the sum of its two largest scores. (Zeros in place of -inf would win over
    chosen experts as soon as a biased score is negative.)
    """
    xp: Any = problem.plain.namespace
    groups, chosen = _group_counts(problem, options)
    size = problem.n_experts // groups
    split = xp.reshape(scores, (*scores.shape[:-1], groups, size))
    if 0 in split.shape:
        return scores
    best, _ = problem.plain.top_k(split, min(2, size))
    finite = xp.where(best == float("-inf"), xp.zeros_like(best), best)
    worth = xp.sum(finite, axis=-1)
    worth = xp.where(best[..., 0] == float("-inf"), xp.full_like(worth, float("-inf")), worth)
    _, winners = problem.plain.top_k(worth, chosen)
    number = xp.arange(groups, dtype=winners.dtype, device=problem.plain.device_of(winners))
    among = xp.any(winners[..., None] == number, axis=-2)
    kept = xp.where(among[..., None], split, xp.full_like(split, float("-inf")))
    return xp.reshape(kept, tuple(scores.shape))


def _group_counts(problem: Problem, options: Options) -> tuple[int, int]:
    """Return the number of groups and how many of them are kept, checked."""
    m = problem.n_experts
    groups = check_integer("n_group", options.n_group, minimum=1)
    if m % groups:
        raise ValueError(f"`n_group` must divide the number of experts {m}; got n_group={groups}")
    chosen = groups
    if options.topk_group is not None:
        chosen = check_integer("topk_group", options.topk_group, minimum=1, maximum=groups)
    most = chosen * (m // groups)
    if options.k > most:
        raise ValueError(
            f"`k` must be at most the {most} experts of `topk_group` groups; got k={options.k}"
        )
    return groups, chosen
