"""Sparse losses of thousands of classes on the few entries that may be predicted.

The formulas of a loss take dozens of passes over its scores. What a sparse loss and its gradient
depend on are the class and the entries above a floor: those are gathered first, so that the passes
are over a hundred columns rather than over a vocabulary. The fused kernels do the same; this is for
libraries without them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import axis_back
from ..operators._candidates import marked_places
from ..operators._tsallis import support_floor
from ._long_rows import is_long
from ._problem import Problem

__all__ = ["Few", "few_entries"]

Array = Any

_SHARE = 4  # of the row: if more is left than a quarter, nothing is gained


class Few(NamedTuple):
    """A problem of fewer entries, the class first, and the columns that they stand in."""

    problem: Problem
    places: Array
    whole: Problem

    def spread(self, gradient: Array) -> Array:
        """Return a gradient in the few entries as one in all of them, axes as the caller's."""
        backend, n = self.problem.backend, self.whole.x.shape[-1]
        full = backend.segment_sum(gradient, self.places, n)
        return axis_back(backend.namespace, full, self.whole.axis)


def few_entries(problem: Problem, alpha: float, temperature: float) -> Few | None:
    """Return the problem of the entries that entmax at a temperature may predict.

    None where those are not few; for short rows, traced ones and libraries that compile by
    themselves; and where a score is NaN or +inf.
    """
    backend, x, target = problem.backend, problem.x, problem.target
    if problem.classes is None or not is_long(problem):
        return None
    xp, n, classes = backend.namespace, x.shape[-1], problem.target.classes
    top = xp.max(x, axis=-1, keepdims=True)
    if not bool(xp.all(top < float("inf"))):
        return None
    floor = support_floor(backend, x, top, alpha, temperature)
    above = x > floor
    if target.ignored is not None:
        above = above & ~target.ignored
    found = marked_places(backend, above, n // _SHARE)
    if found is None:
        return None
    columns, inside = found
    classes = xp.astype(classes, columns.dtype)
    inside = inside & (columns != classes)  # the class stands first
    columns = xp.concat([classes, xp.where(inside, columns, classes)], axis=-1)
    inside = xp.concat([xp.ones_like(inside[..., :1]), inside], axis=-1)
    scores = xp.take_along_axis(x, columns, axis=-1)
    scores = xp.where(inside, scores, xp.full_like(scores, float("-inf")))
    target = target._replace(classes=xp.zeros_like(target.classes))
    small = problem._replace(x=scores, target=target, mask=None, axis=x.ndim - 1)
    return Few(small, columns, problem)
