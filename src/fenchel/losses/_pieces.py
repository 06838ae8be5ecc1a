"""Pieces that the formulas of Fenchel-Young and Fitzpatrick losses share."""

from __future__ import annotations

from typing import Any

from ..operators._scores import shifted
from ..special import logsumexp, softplus
from ._problem import Problem

__all__ = [
    "at_entries",
    "bounded",
    "corrected",
    "excess",
    "firsts",
    "impossible_rows",
    "link_of",
    "logistic_index_rows",
    "oriented",
    "out_of",
    "per_row",
    "settled",
    "unmasked",
    "with_nan",
]

Array = Any


def oriented(regularizer: Any, problem: Problem) -> Any:
    """Return the regularizer for the rows of a problem."""
    if problem.elementwise:
        return regularizer
    return regularizer._oriented(problem.x.ndim, problem.axis)


def per_row(regularizer: Any, rows: Array) -> Array:
    """Return what a regularizer says of rows as (..., 1)."""
    return rows if regularizer.elementwise else rows[..., None]


def firsts(problem: Problem, simplex: bool) -> Problem:
    """Return the problem in which entries of +inf come first, for regularizers on the simplex.

    They share what there is, the others of their rows are out. By a trace the derivatives of such
    rows are 0: none passes through an infinite entry.
    """
    if not simplex:
        return problem
    xp, data = problem.backend.namespace, problem.backend.stop_gradient(problem.x)
    first = data == float("inf")
    beyond = xp.any(first, axis=-1, keepdims=True)
    x = xp.where(beyond & ~first, xp.full_like(problem.x, float("-inf")), problem.x)
    return problem._replace(x=xp.where(first, xp.zeros_like(x), x))


def out_of(backend: Any, z: Array) -> Array:
    """Return which entries of prepared scores are out."""
    return backend.stop_gradient(z) == float("-inf")


def settled(problem: Problem, y: Array, simplex: bool) -> Array:
    """Return the target without what it cannot be held to.

    Off the simplex, entries that are masked do not count; on it, rows that are all out do not.
    """
    xp = problem.backend.namespace
    if not simplex:
        return y if problem.mask is None else xp.where(problem.mask, y, xp.zeros_like(y))
    empty = xp.all(out_of(problem.backend, problem.x), axis=-1, keepdims=True)
    return xp.where(empty, xp.zeros_like(y), y)


def at_entries(problem: Problem, gradient: Array) -> Array:
    """Return a gradient that is 0 at entries that are out."""
    xp = problem.backend.namespace
    return xp.where(out_of(problem.backend, problem.x), xp.zeros_like(gradient), gradient)


def with_nan(problem: Problem, values: Array, x: Array) -> Array:
    """Return rows, or gradients of rows, that are NaN, as are their derivatives, where an x is.

    For values found by a search, which may end anywhere.
    """
    backend, xp = problem.backend, problem.backend.namespace
    nan = xp.any(xp.isnan(backend.stop_gradient(x)), axis=-1, keepdims=True)
    zeros = xp.zeros_like(x)
    unknown = xp.where(nan, x, zeros) * xp.where(nan, zeros + float("nan"), zeros)
    return values + xp.sum(unknown, axis=-1, keepdims=True)


def link_of(problem: Problem, regularizer: Any) -> Array:
    """Return the prediction for the prepared scores; entries that are masked are 0."""
    backend = problem.backend
    z = shifted(backend, problem.x, 1.0) if regularizer.simplex else problem.x
    return unmasked(problem, regularizer._argmax(backend, z))


def unmasked(problem: Problem, p: Array) -> Array:
    """Return a prediction that is 0 at entries that are masked."""
    if problem.mask is None:
        return p
    xp = problem.backend.namespace
    return xp.where(problem.mask, p, xp.zeros_like(p))


def corrected(problem: Problem, rows: Array, textbook: Array, out: Array) -> Array:
    """Return robust values `rows`, constants, with the derivatives of `textbook`.

    Those are finite for rows that are inf, 0 for rows that are all out and NaN for rows that are.
    """
    backend, xp = problem.backend, problem.backend.namespace
    known = xp.isfinite(backend.stop_gradient(textbook)) | xp.isnan(backend.stop_gradient(rows))
    if not problem.elementwise:
        known = known & ~xp.all(out, axis=-1, keepdims=True)
    textbook = xp.where(known, textbook, xp.zeros_like(textbook))
    return (textbook - backend.stop_gradient(textbook)) + rows


def bounded(problem: Problem, rows: Array, y: Array, out: Array) -> Array:
    """Return rows with the values of the edges.

    A target on an entry that is out costs inf; a row that is all out costs 0.
    """
    xp = problem.backend.namespace
    if problem.elementwise:
        return rows
    impossible = xp.any(out & (problem.backend.stop_gradient(y) > 0), axis=-1, keepdims=True)
    rows = xp.where(impossible, xp.full_like(rows, float("inf")), rows)
    return xp.where(xp.all(out, axis=-1, keepdims=True), xp.zeros_like(rows), rows)


def excess(problem: Problem) -> tuple[Array, Array, Array]:
    """Return s = logsumexp over the other classes minus the score of the target, (..., 1).

    Also the scores without the target, and whether the target is out while others are not. Then s
    is only the logsumexp; where nothing else takes part it is -inf.
    """
    backend, xp = problem.backend, problem.backend.namespace
    z = shifted(backend, problem.x, 1.0)
    index: Any = problem.classes
    places = xp.arange(z.shape[-1], device=backend.device_of(z), dtype=index.dtype)
    rest = xp.where(places == index, xp.full_like(z, float("-inf")), z)
    own = xp.take_along_axis(z, index, axis=-1)
    absent = out_of(backend, own)
    others = logsumexp(rest, axis=-1, keepdims=True)
    alone = out_of(backend, others)
    zeros = xp.zeros_like(own)
    s = xp.where(alone, zeros, others) - xp.where(absent, zeros, own)
    s = xp.where(alone, xp.full_like(s, float("-inf")), s)
    return s, rest, absent & ~alone


def impossible_rows(xp: Any, rows: Array, impossible: Array) -> Array:
    """Return rows raised to inf where they are impossible, with the derivative they have."""
    return rows + xp.where(impossible, xp.full_like(rows, float("inf")), xp.zeros_like(rows))


def logistic_index_rows(problem: Problem) -> Array:
    """Return softplus(s), the logistic loss of class indices; no dense target is made."""
    s, _, impossible = excess(problem)
    # Without its target a row has the gradient of the logsumexp: its limit.
    xp = problem.backend.namespace
    rows = xp.where(impossible, s, softplus(s))
    return impossible_rows(xp, rows, impossible)
