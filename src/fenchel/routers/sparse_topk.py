r"""Sparse and differentiable top-k routing, arXiv 2302.01425.

The relaxed mask y = clip(logits / temperature - tau, 0, 1) with sum k selects its support, of k
experts or more, and multiplies the probabilities. It is the hard top-k where the gap between the
k-th and the next logit is at least the temperature.
"""

from __future__ import annotations

from ..operators.softmax import softmax
from ..operators.topk_mask import topk_mask
from ._indices import gather_last
from ._options import Options
from ._problem import Problem
from .routing import Routing
from .token_choice import best_experts, fill
from .weights import chosen_weights

__all__ = ["sparse_topk"]


def sparse_topk(problem: Problem, options: Options) -> Routing:
    """Each token asks for the experts in the support of its relaxed mask, the largest first.

    The weight is mask times probability; with "plan" the mask itself, with "renormalized" the mask
    divided by its sum k.
    """
    xp, m = problem.backend.namespace, problem.n_experts
    mask = topk_mask(problem.logits, options.k, temperature=options.temperature)
    index, usable = best_experts(problem, problem.logits, m)
    chosen = gather_last(xp, mask, index)
    wanted = usable & (problem.constant(chosen) > 0)
    probabilities = softmax(problem.logits)
    if options.weights is None:
        weight = xp.multiply(chosen, gather_last(xp, probabilities, index))
    elif options.weights == "renormalized":
        weight = chosen / max(options.k, 1)
    else:
        weight = chosen_weights(problem, options, index, wanted, probabilities, mask)
    return fill(problem, options, index, wanted, weight, None, probabilities)
