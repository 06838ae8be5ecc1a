"""Balanced assignment (BASE), arXiv 2103.16716: every expert gets the same number of tokens.

Among such assignments it is one of the largest sum of logits, exactly. In evaluation BASE takes the
best expert of each token instead: softmax token choice with the sigmoid as weight.
"""

from __future__ import annotations

from ..backend import Array, Backend
from ..kernels import solver_kernel
from ..operators.softmax import softmax
from ._assignment import balanced_owners
from ._options import Options
from ._problem import Problem
from .routing import Routing
from .token_choice import fill
from .weights import chosen_weights

__all__ = ["balanced_assignment"]


def balanced_assignment(problem: Problem, options: Options) -> Routing:
    """Each expert gets n / m tokens, rounded down or up, n counting those that take part."""
    if options.k != 1:
        raise ValueError(f'`k` must be 1 for "balanced_assignment"; got k={options.k}')
    xp, m = problem.plain.namespace, problem.n_experts
    owner = _owners(problem)
    index = xp.minimum(owner, xp.full_like(owner, m - 1))[..., None]
    places = xp.astype(index, xp.arange(0).dtype)
    wanted = xp.take_along_axis(problem.valid, places, axis=-1) & (owner < m)[..., None]
    probabilities = softmax(problem.logits)
    weight = chosen_weights(problem, options, index, wanted, probabilities, default="sigmoid")
    rows = -(-problem.n_tokens // m)
    return fill(problem, options, index, wanted, weight, None, probabilities, rows=rows)


def _owners(problem: Problem) -> Array:
    """Return the expert of each token, m for masked ones: int32 (..., n)."""
    backend = problem.plain
    xp = backend.namespace
    values = problem.constant(problem.logits)
    if 0 in values.shape:
        return xp.zeros(tuple(values.shape[:-1]), dtype=xp.int32, device=backend.device_of(values))
    scores = _finite(backend, values, problem.valid)
    flat = xp.reshape(scores, (*values.shape[:-2], values.shape[-2] * values.shape[-1]))
    tokens = xp.astype(problem.routed, values.dtype)
    kernel = backend.kernel("balanced_owners", values.dtype, backend.device_of(values))
    if kernel is None:
        (found,) = solver_kernel(backend, balanced_owners)(flat, tokens)
    else:
        found = kernel(flat, tokens, float(values.shape[-1]))
    return xp.astype(found, xp.int32)


def _finite(backend: Backend, values: Array, valid: Array) -> Array:
    """Return the logits from the largest downwards, those that are out below all sums of others."""
    xp = backend.namespace
    n, m = values.shape[-2:]
    finite = valid & (values < float("inf"))
    low = xp.min(xp.where(finite, values, xp.zeros_like(values)), axis=(-2, -1), keepdims=True)
    high = xp.max(xp.where(finite, values, low), axis=(-2, -1), keepdims=True)
    step = (n + m) * (high - low + 1)
    inside = xp.where(finite, values - high, xp.where(valid, step, -2 * step))
    return xp.where(xp.any(valid, axis=-1, keepdims=True), inside, xp.zeros_like(inside))
