"""Token choice: each token asks for its best experts, and buffers fill up in an order of priority.

Softmax token choice: arXiv 2106.05974 and 2101.03961.
"""

from __future__ import annotations

from ..backend import Array
from ._problem import Problem
from .buffers import fill_buffers
from .routing import Routing

__all__ = ["choose_experts", "fill_token_choice"]


def choose_experts(problem: Problem, scores: Array, k: int) -> Array:
    """Return the `k` best experts of each token, int32 (..., n, k); ties by lower index."""
    backend = problem.backend
    xp = backend.namespace
    if 0 in (k, problem.n_tokens):
        return xp.zeros((*problem.logits.shape[:-1], k), dtype=xp.int32)
    scores = backend.stop_gradient(scores)
    low = xp.full_like(scores, float("-inf"))
    _, index = backend.top_k(xp.where(xp.isnan(scores), low, scores), k)
    return xp.astype(index, xp.int32)


def fill_token_choice(
    problem: Problem,
    expert_index: Array,
    wanted: Array,
    weight: Array,
    scores: Array,
    capacity: int | None,
    priority: str,
) -> Routing:
    """Fill the buffers with the wanted choices, and return the routing.

    `wanted` (..., n, k) tells which choices exist; `capacity=None` keeps all of them.
    """
    backend = problem.backend
    xp = backend.namespace
    groups, n, m = tuple(problem.logits.shape[:-2]), problem.n_tokens, problem.n_experts
    k = expert_index.shape[-1]
    rows = n if capacity is None else capacity
    asked = xp.where(wanted, expert_index, xp.full_like(expert_index, m))
    if priority == "choice":
        asked = xp.matrix_transpose(asked)
    filled = fill_buffers(backend, xp.reshape(asked, (*groups, n * k)), m, rows)
    empty = filled.assignment == n * k
    outer, inner = (n, k) if priority == "choice" else (k, n)
    del outer, inner
    if priority == "choice":
        slot = xp.matrix_transpose(xp.reshape(filled.slot, (*groups, k, n)))
        token, choice = filled.assignment % max(n, 1), filled.assignment // max(n, 1)
    else:
        slot = xp.reshape(filled.slot, (*groups, n, k))
        token, choice = filled.assignment // max(k, 1), filled.assignment % max(k, 1)
    zero = xp.zeros_like(token)
    return Routing(
        expert_index=expert_index,
        slot=slot,
        weight=problem.close(xp.where(slot >= 0, weight, xp.zeros_like(weight))),
        token_index=xp.where(empty, xp.full_like(token, n), token),
        choice_index=xp.where(empty, zero, choice),
        demand=filled.demand,
        scores=problem.close(scores),
        routed=problem.routed,
        n_tokens=n,
        n_experts=m,
        capacity=rows,
    )
