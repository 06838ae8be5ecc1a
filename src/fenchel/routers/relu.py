"""ReLU routing (ReMoE), arXiv 2412.14711: the experts of positive logits, which are the weights."""

from __future__ import annotations

from ..operators.softmax import softmax
from ._indices import gather_last
from ._options import Options
from ._problem import Problem
from .routing import Routing
from .token_choice import best_experts, fill
from .weights import chosen_weights

__all__ = ["relu"]


def relu(problem: Problem, options: Options) -> Routing:
    """Each token asks for all experts with a positive logit, the largest first."""
    xp, m = problem.backend.namespace, problem.n_experts
    index, wanted = best_experts(problem, problem.logits, m)
    found = gather_last(xp, problem.logits, index)
    positive = wanted & (problem.constant(found) > 0)
    if options.weights is not None:
        probabilities = softmax(problem.logits)
        found = chosen_weights(problem, options, index, positive, probabilities)
    return fill(problem, options, index, positive, found)
