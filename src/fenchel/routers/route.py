"""Routers: from logits to assignments."""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ._problem import open_problem
from .routing import Routing
from .token_choice import choose_experts, fill_token_choice

__all__ = ["route"]


def route(
    logits: Array,
    /,
    *,
    method: str = "softmax_token_choice",
    k: int = 1,
    capacity: int | None = None,
    priority: str = "choice",
    weights: str | None = None,
    where: Array | None = None,
    rng: Any = None,
    noise: Array | None = None,
    temperature: Any = 1.0,
    max_iter: int = 20,
    solver: str = "adam",
    gradient: str = "none",
    bias: Array | None = None,
    n_group: int | None = None,
    topk_group: int | None = None,
    weight_scale: float = 1.0,
) -> Routing:
    """Route tokens to experts."""
    problem = open_problem(logits, where, noise, bias)
    backend = problem.backend
    xp = backend.namespace
    scores = problem.softmax()
    index = choose_experts(problem, scores, k)
    weight = xp.take_along_axis(scores, xp.astype(index, xp.int64), axis=-1)
    wanted = xp.logical_and(problem.routed[..., None], backend.stop_gradient(weight) > 0)
    return fill_token_choice(problem, index, wanted, weight, scores, capacity, priority)
