"""Routers that select from a transport plan: Sinkhorn's, and the sparsity-constrained one.

Sinkhorn token and expert choice, arXiv 2401.15969: the plan of the logits with a unit of mass a
token, shared equally by the experts. Sparsity-constrained expert choice, arXiv 2209.15466: the plan
of the probabilities, whose columns have at most C entries. By default plans rank, and weights are
probabilities.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..convex.matrices import Matrices
from ..convex.plans import sinkhorn
from ..convex.sparse_plan import sparse_plan_parts
from ..operators.softmax import softmax
from ..parameters import known_to
from ._options import Options
from ._problem import Problem
from .expert_choice import expert_choice, expert_rows
from .routing import Routing
from .token_choice import token_choice

__all__ = ["sinkhorn_expert_choice", "sinkhorn_token_choice", "sparse_expert_choice"]


def sinkhorn_token_choice(problem: Problem, options: Options) -> Routing:
    """Each token asks for the `k` experts of its largest masses."""
    plan, error = entropic(problem, options)
    return token_choice(problem, options, plan, plan=plan, marginal_error=error)


def sinkhorn_expert_choice(problem: Problem, options: Options) -> Routing:
    """Each expert takes the tokens of its largest masses."""
    plan, error = entropic(problem, options)
    probabilities = softmax(problem.logits)
    return expert_choice(problem, options, plan, probabilities, plan=plan, marginal_error=error)


def sparse_expert_choice(problem: Problem, options: Options) -> Routing:
    """Each expert takes the tokens of its largest masses in the sparse plan."""
    probabilities = softmax(problem.logits)
    rows = expert_rows(problem, options)
    if 0 in (rows, *problem.logits.shape):
        return expert_choice(problem, options, probabilities, probabilities, plan=probabilities)
    xp = problem.backend.namespace
    scores = xp.where(problem.valid, probabilities, xp.full_like(probabilities, float("-inf")))
    found = sparse_plan_parts(
        Matrices(problem.backend, scores, problem.float_type, problem.dtype),
        rows,
        options.temperature,
        options.solver,
        options.max_iter,
        constant=options.gradient == "none",
    )
    return expert_choice(
        problem,
        options,
        found.ranking,  # orders the entries of the plan, and goes on where it is 0
        probabilities,
        plan=found.plan,
        value=found.value,
        gap=found.gap,
        marginal_error=found.marginal_error,
    )


def entropic(problem: Problem, options: Options) -> tuple[Array, Array]:
    """Return Sinkhorn's plan of the logits, and the largest error of a column sum."""
    xp: Any = problem.plain.namespace
    logits = problem.logits
    if 0 in logits.shape:
        shape = tuple(logits.shape[:-2])
        device = problem.plain.device_of(problem.constant(logits))
        return logits, xp.zeros(shape, dtype=problem.constant(logits).dtype, device=device)
    logits = _without_infinity(xp, problem)
    plan = sinkhorn(
        logits,
        temperature=options.temperature,
        max_iter=options.max_iter,
        tol=0.0,
        gradient=options.gradient,
    )
    values = problem.constant(plan)
    used = xp.any(problem.constant(logits) > float("-inf"), axis=-2)
    count = xp.sum(xp.astype(used, values.dtype), axis=-1, keepdims=True)
    total = xp.sum(xp.astype(problem.routed, values.dtype), axis=-1, keepdims=True)
    share = total / xp.where(count > 0, count, xp.ones_like(count))
    off = xp.abs(xp.sum(values, axis=-2) - xp.where(used, share, xp.zeros_like(share)))
    return plan, xp.max(off, axis=-1)


def _without_infinity(xp: Any, problem: Problem) -> Array:
    """Return the logits, a row that holds inf by its limit: 0 at inf, -inf elsewhere."""
    values = problem.constant(problem.logits)
    infinite = values == float("inf")
    limit = xp.where(infinite, xp.zeros_like(values), xp.full_like(values, float("-inf")))
    backend = problem.backend
    above, limit = (
        known_to(backend, part) for part in (xp.any(infinite, axis=-1, keepdims=True), limit)
    )
    return backend.namespace.where(above, limit, problem.logits)
