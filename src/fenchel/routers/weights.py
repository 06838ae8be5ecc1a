r"""Combine weights of chosen pairs of token and expert.

    softmax        the probability p_e, as it is              V-MoE, Switch
    renormalized   p_e / sum of p over the chosen experts     Mixtral, GShard
    plan           the mass of the transport plan
    sigmoid        1 / (1 + exp(-logit))                      BASE

"softmax, top-k, renormalise" is "top-k, softmax over the chosen logits" (Megatron's post-softmax),
which is how it is computed: nothing underflows.
"""

from __future__ import annotations

from ..backend import Array
from ..operators.softmax import softmax_formula
from ..special import expit
from ._indices import gather_last
from ._options import Options
from ._problem import Problem

__all__ = ["chosen_weights", "no_plan", "scaled"]


def chosen_weights(
    problem: Problem,
    options: Options,
    index: Array,
    wanted: Array,
    probabilities: Array,
    plan: Array | None = None,
    default: str = "softmax",
) -> Array:
    """Return the weights of the experts `index` (..., n, k) of each token, before anything drops.

    `wanted` tells which of them exist.
    """
    kind = options.weights or default
    xp = problem.backend.namespace
    if kind == "renormalized":
        logits = gather_last(xp, problem.logits, index)
        logits = xp.where(wanted, logits, xp.full_like(logits, float("-inf")))
        if 0 in index.shape:
            return logits
        return softmax_formula(problem.backend, logits, options.temperature)
    return gather_last(xp, score_weights(problem, kind, probabilities, plan), index)


def score_weights(problem: Problem, kind: str, probabilities: Array, plan: Array | None) -> Array:
    """Return the weight that each pair (..., n, m) would have."""
    if kind == "plan":
        return no_plan() if plan is None else plan
    return expit(problem.logits) if kind == "sigmoid" else probabilities


def no_plan() -> Array:
    """Raise ValueError: the method has no plan."""
    raise ValueError('`weights="plan"` needs a method with a transport plan')


def scaled(problem: Problem, options: Options, weight: Array, kept: Array) -> Array:
    """Return weights times `weight_scale`, 0 where nothing is kept, in the caller's dtype."""
    xp = problem.backend.namespace
    if options.weight_scale != 1.0:
        weight = weight * options.weight_scale
    return problem.close(xp.where(kept, weight, xp.zeros_like(weight)))
