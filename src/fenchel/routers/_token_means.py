"""Sums and means over the tokens that take part: what the auxiliary losses are made of."""

from __future__ import annotations

from typing import Any

from ..arrays import widen
from ..backend import Array
from ..parameters import known_to
from ._problem import Problem, constant, open_problem, token_mask

__all__ = ["assignment_counts", "mean_over_tokens", "open_loss", "or_zero", "variation"]


def open_loss(logits: Array, where: Array | None, *others: Any) -> Problem:
    """Open a problem in which NaN stays NaN: routers can do without a logit, losses cannot."""
    problem = open_problem(logits, where, *others)
    backend, plain = problem.backend, problem.plain
    xp = backend.namespace
    lost = plain.namespace.isnan(constant(backend, known_to(backend, logits)))
    if where is not None:
        shape = tuple(logits.shape[:-1])
        lost = (
            lost & token_mask(plain, constant(backend, known_to(backend, where)), shape)[..., None]
        )
    wide = widen(xp, known_to(backend, logits), problem.float_type)
    routed = problem.routed | plain.namespace.any(lost, axis=-1)
    kept = xp.where(known_to(backend, lost), wide, problem.logits)
    return problem._replace(logits=kept, routed=routed)


def token_count(problem: Problem) -> Array:
    """Return the number of tokens that take part, (...), in the dtype that is computed in."""
    xp = problem.backend.namespace
    return xp.sum(xp.astype(problem.routed, problem.logits.dtype), axis=-1)


def mean_over_tokens(problem: Problem, values: Array) -> Array:
    """Return the mean of values (..., n, m) over the tokens that take part; 0 over none."""
    xp = problem.backend.namespace
    values = xp.where(problem.routed[..., None], values, xp.zeros_like(values))
    count = token_count(problem)[..., None]
    return xp.divide(xp.sum(values, axis=-2), xp.where(count > 0, count, xp.ones_like(count)))


def assignment_counts(problem: Problem, k: int) -> Array:
    """Return how many tokens have each expert among their `k` best, (..., m): constants."""
    backend = problem.backend
    xp = backend.namespace
    logits = backend.stop_gradient(problem.logits)
    groups, n, m = tuple(logits.shape[:-2]), problem.n_tokens, problem.n_experts
    if 0 in (n, k):
        return xp.zeros((*groups, m), dtype=logits.dtype, device=backend.device_of(logits))
    best, chosen = backend.top_k(logits, k)
    counted = xp.astype(best != float("-inf"), logits.dtype)
    flat = (*groups, n * k)
    return backend.segment_sum(xp.reshape(counted, flat), xp.reshape(chosen, flat), m)


def variation(problem: Problem, load: Array, mean: Array) -> Array:
    """Return the squared coefficient of variation of loads (..., m) with their mean (..., 1)."""
    xp = problem.backend.namespace
    some = mean > 0
    relative = xp.divide(load, xp.where(some, mean, xp.ones_like(mean))) - 1.0
    return xp.where(some[..., 0], xp.mean(relative * relative, axis=-1), 0.0 * mean[..., 0])


def or_zero(problem: Problem, loss: Array) -> Array:
    """Return the losses of groups with a token, 0 for the others, in the caller's dtype."""
    xp = problem.backend.namespace
    some = xp.any(problem.routed, axis=-1)
    return problem.close(xp.where(some, loss, xp.zeros_like(loss)))
