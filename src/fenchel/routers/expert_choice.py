"""Expert choice: each expert takes its best tokens, arXiv 2202.09368.

A token may get none or all of the experts, and the choice looks at the whole group: with tokens of
a sequence, future ones change it.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..operators.softmax import softmax
from ._options import Options
from ._problem import Problem
from .routing import Routing
from .weights import scaled, score_weights

__all__ = ["best_tokens", "expert_choice", "expert_rows", "softmax_expert_choice"]


def softmax_expert_choice(problem: Problem, options: Options) -> Routing:
    """Each expert takes the tokens of its largest probabilities."""
    probabilities = softmax(problem.logits, temperature=options.temperature)
    return expert_choice(problem, options, probabilities, probabilities)


def expert_rows(problem: Problem, options: Options) -> int:
    """Return the number of tokens an expert takes: by default n k / m, rounded up."""
    n, m = problem.n_tokens, problem.n_experts
    if options.capacity is None:
        return min(n, -(-n * options.k // m))
    if options.capacity > n:
        raise ValueError(
            "`capacity` must be at most the number of tokens for expert choice; "
            f"got capacity={options.capacity} with n={n}"
        )
    return options.capacity


def expert_choice(
    problem: Problem, options: Options, scores: Array, probabilities: Array, **extra: Any
) -> Routing:
    """Each expert takes its best tokens by `scores` (..., n, m); `extra` are further fields."""
    xp = problem.plain.namespace
    if options.weights == "renormalized":
        raise ValueError(
            '`weights` must be "softmax", "plan" or "sigmoid" for expert choice; got "renormalized"'
        )
    index, exists = best_tokens(problem, scores, expert_rows(problem, options))
    kind = options.weights or "softmax"
    weight = score_weights(problem, kind, probabilities, extra.get("plan"))
    n = problem.n_tokens
    live = problem.backend.namespace
    if 0 in index.shape:  # sums of nothing, of which derivatives can be asked
        weight = live.broadcast_to(live.sum(weight, axis=-2)[..., None], tuple(index.shape))
    else:
        places = xp.astype(index, xp.arange(0).dtype)
        weight = live.take_along_axis(live.matrix_transpose(weight), places, axis=-1)
    return Routing(
        expert_index=None,
        slot=None,
        weight=scaled(problem, options, weight, exists),
        token_index=xp.where(exists, index, xp.full_like(index, n)),
        choice_index=None,
        demand=xp.sum(xp.astype(exists, xp.int32), axis=-1, dtype=xp.int32),
        routed=problem.routed,
        probabilities=probabilities,
        n_tokens=n,
        n_experts=problem.n_experts,
        capacity=int(index.shape[-1]),
        **extra,
    )


def best_tokens(problem: Problem, scores: Array, count: int) -> tuple[Array, Array]:
    """Return the best tokens of each expert, int32 (..., m, C), and which of them exist.

    Ties go to the lower index. Masked tokens, and those whose logit is -inf, do not exist.
    """
    backend = problem.plain
    xp = backend.namespace
    columns = xp.matrix_transpose(problem.constant(scores))
    if 0 in (count, *columns.shape):
        shape = (*columns.shape[:-1], count)
        index = xp.zeros(shape, dtype=xp.int32, device=backend.device_of(columns))
        return index, index > 0
    usable = xp.matrix_transpose(problem.valid) & ~xp.isnan(columns)
    ranked = xp.where(usable, columns, xp.full_like(columns, float("-inf")))
    _, places = backend.top_k(ranked, count)
    return xp.astype(places, xp.int32), xp.take_along_axis(usable, places, axis=-1)
