"""Token choice: each token asks for its best experts, and buffers fill up in an order of priority.

Softmax token choice: arXiv 2106.05974 (V-MoE), 2101.03961 (Switch); batch-prioritised routing lets
the surest tokens of a group choose first: arXiv 2106.05974, section 3.3.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array, Backend
from ..operators.softmax import softmax
from ._indices import gather_last
from ._options import Options
from ._problem import Problem
from .buffers import fill_buffers
from .routing import Routing
from .weights import chosen_weights, scaled

__all__ = ["batch_prioritized", "best_experts", "fill", "softmax_token_choice", "token_choice"]


def softmax_token_choice(problem: Problem, options: Options) -> Routing:
    """Each token asks for the `k` experts of its largest logits."""
    return token_choice(problem, options, problem.logits)


def batch_prioritized(problem: Problem, options: Options) -> Routing:
    """Softmax token choice in which the tokens of the largest probability choose first."""
    return token_choice(problem, options, problem.logits, surest_first=True)


def token_choice(
    problem: Problem,
    options: Options,
    scores: Array,
    *,
    surest_first: bool = False,
    **extra: Any,
) -> Routing:
    """Each token asks for its best experts by `scores`; `extra` are fields of the routing.

    Logits serve as scores where probabilities would: the order is the same, and the same on every
    library, which the last digits of an exponential are not.
    """
    index, wanted = best_experts(problem, scores, options.k)
    temperature = 1.0 if "plan" in extra else options.temperature
    probabilities = softmax(problem.logits, temperature=temperature)
    plan = extra.get("plan")
    weight = chosen_weights(problem, options, index, wanted, probabilities, plan)
    order = None
    if surest_first:
        xp = problem.plain.namespace
        top = xp.max(problem.constant(probabilities), axis=-1)
        order = xp.argsort(-top, axis=-1, stable=True)
    return fill(problem, options, index, wanted, weight, order, probabilities, **extra)


def best_experts(problem: Problem, scores: Array, k: int) -> tuple[Array, Array]:
    """Return the `k` best experts of each token, int32 (..., n, k), and which of them exist.

    Ties go to the lower index. Experts whose logit is -inf come last, and do not exist.
    """
    backend = problem.plain
    xp = backend.namespace
    scores = problem.constant(scores)
    if 0 in (k, *scores.shape):
        shape = (*scores.shape[:-1], k)
        index = xp.zeros(shape, dtype=xp.int32, device=backend.device_of(scores))
        return index, index > 0
    usable = problem.valid & ~xp.isnan(scores)
    lowest = xp.full_like(scores, -3e38)  # above -inf, which marks what is chosen already
    ranked = xp.where(usable, scores, lowest)
    places = _largest(backend, ranked, k) if k <= _FEW else backend.top_k(ranked, k)[1]
    return xp.astype(places, xp.int32), gather_last(xp, usable, places)


# Up to this many maxima, one after the other, cost less than a sort.
_FEW = 8


def _largest(backend: Backend, scores: Array, k: int) -> Array:
    """Return the places of the `k` largest entries above -inf, the first among equals."""
    xp = backend.namespace
    index = xp.arange(scores.shape[-1], device=backend.device_of(scores))
    places = []
    for _ in range(k):
        place = xp.argmax(scores, axis=-1, keepdims=True)
        scores = xp.where(index == place, xp.full_like(scores, float("-inf")), scores)
        places.append(place)
    return xp.concat(places, axis=-1)


def fill(
    problem: Problem,
    options: Options,
    expert_index: Array,
    wanted: Array,
    weight: Array,
    order: Array | None = None,
    probabilities: Array | None = None,
    *,
    rows: int | None = None,
    **extra: Any,
) -> Routing:
    """Fill the buffers with the wanted choices (..., n, k), tokens in the given order.

    Without a capacity nothing drops: a token is at most once with an expert, so that n rows do.
    """
    xp = problem.plain.namespace
    groups, n, k = tuple(expert_index.shape[:-2]), *tuple(expert_index.shape[-2:])
    m = problem.n_experts
    free = n if rows is None else rows
    capacity = free if options.capacity is None else options.capacity
    asked = xp.where(wanted, expert_index, xp.full_like(expert_index, m))
    if order is not None:
        asked = _take_tokens(xp, asked, order)
    by_choice = options.priority == "choice"
    if by_choice:
        asked = xp.matrix_transpose(asked)
    filled = fill_buffers(problem.plain, xp.reshape(asked, (*groups, n * k)), m, capacity)
    slot = xp.reshape(filled.slot, tuple(asked.shape))
    slot = xp.matrix_transpose(slot) if by_choice else slot
    number, inner = filled.assignment, max(n if by_choice else k, 1)
    major, minor = number // inner, number % inner
    token, choice = (minor, major) if by_choice else (major, minor)
    empty = number == n * k
    token = xp.where(empty, xp.zeros_like(token), token)
    if order is not None and n > 0:
        slot = _take_tokens(xp, slot, xp.argsort(order, axis=-1, stable=True))
        flat = gather_last(xp, order, xp.reshape(token, (*groups, m * capacity)))
        token = xp.astype(xp.reshape(flat, tuple(token.shape)), xp.int32)
    return Routing(
        expert_index=expert_index,
        slot=slot,
        weight=scaled(problem, options, weight, slot >= 0),
        token_index=xp.where(empty, xp.full_like(token, n), token),
        choice_index=xp.where(empty, xp.zeros_like(choice), choice),
        demand=filled.demand,
        routed=problem.routed,
        probabilities=softmax(problem.logits) if probabilities is None else probabilities,
        n_tokens=n,
        n_experts=m,
        capacity=capacity,
        **extra,
    )


def _take_tokens(xp: Any, x: Array, order: Array) -> Array:
    """Return the rows of x (..., n, k) in the given order (..., n)."""
    places = xp.broadcast_to(order[..., None], tuple(x.shape))
    return xp.take_along_axis(x, places, axis=-2)
