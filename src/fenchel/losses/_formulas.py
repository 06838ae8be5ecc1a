"""Losses by their formulas, where no kernel serves: on long rows as few passes as will do."""

from __future__ import annotations

from typing import Any

from ..backend import backend_of
from ..kernels import eager_rule
from ._few import Few, few_entries
from ._long_rows import in_blocks, is_long, plain_rows
from ._problem import Problem, is_plain

__all__ = ["formula_both", "formula_rows"]

Array = Any


def formula_rows(loss: Any, problem: Problem, target_term: bool) -> Array:
    """Return the rows (..., 1) of a loss."""
    few = _few(loss, problem)
    if few is not None:
        return loss._rows(few.problem, target_term)
    if _blockwise(loss, problem):
        return in_blocks(problem, lambda part: loss._block(part, target_term, False))[0]
    if _traced_blockwise(loss, problem):
        rows = _by_rule(loss, problem, target_term)
        if rows is not None:
            return rows
    return loss._rows(problem, target_term)


def formula_both(loss: Any, problem: Problem, target_term: bool) -> tuple[Array, Array]:
    """Return the rows (..., 1) of a loss, and the gradient of their reduction."""
    few = _few(loss, problem)
    if few is not None:
        rows, gradient = loss._both(few.problem, target_term)
        return rows, few.spread(few.problem.reduce_gradient(gradient))
    if _blockwise(loss, problem):
        rows, gradient = in_blocks(problem, lambda part: loss._block(part, target_term, True))
        return rows, gradient
    rows, gradient = loss._both(problem, target_term)
    return rows, problem.reduce_gradient(gradient)


def _few(loss: Any, problem: Problem) -> Few | None:
    window = loss._window()
    return None if window is None else few_entries(problem, *window)


def _blockwise(loss: Any, problem: Problem) -> bool:
    return loss._takes_blocks() and is_long(problem)


def _traced_blockwise(loss: Any, problem: Problem) -> bool:
    """Whether scores are traced by the tape, alone, and long below it."""
    if is_plain(problem.backend) or not loss._takes_blocks():
        return False
    if problem.classes is None and not problem.constant_target:
        return False
    x = problem.backend.plain(problem.x)
    return is_long(plain_rows(problem, backend_of(x), x))


def _by_rule(loss: Any, problem: Problem, target_term: bool) -> Array | None:
    """Return the rows, recorded with a gradient made at once; None under more than one trace."""

    def formula(x: Array) -> Array:
        return loss._rows(problem._replace(backend=backend_of(x), x=x), target_term)

    return eager_rule(problem.backend, _Rule(loss, problem, target_term), formula, problem.x)


class _Rule:
    """Rows and their pullback, for plain scores (see `fenchel.kernels.eager_rule`)."""

    def __init__(self, loss: Any, problem: Problem, target_term: bool) -> None:
        self.loss, self.problem, self.target_term = loss, problem, target_term

    def forward(self, x: Array) -> tuple[Array, tuple[Few | None, Array]]:
        """Return the rows, and their gradients."""
        problem = plain_rows(self.problem, backend_of(x), x)
        few = _few(self.loss, problem)
        if few is not None:
            rows, gradient = self.loss._both(few.problem, self.target_term)
            return rows, (few, gradient)
        rows, gradient = formula_both(self.loss, problem, self.target_term)
        return rows, (None, gradient)

    def pullback(
        self, g: Array, inputs: tuple[Array], saved: tuple[Few | None, Array]
    ) -> tuple[Array]:
        """Return the cotangent of the scores; 0 makes 0 of anything."""
        few, gradient = saved
        xp = backend_of(gradient).namespace
        pulled = gradient * g
        if bool(xp.any(g == 0)):
            pulled = xp.where(g == 0, xp.zeros_like(pulled), pulled)
        return (pulled if few is None else few.spread(pulled),)
