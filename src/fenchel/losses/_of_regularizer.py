"""What the losses of a regularizer take from it."""

from __future__ import annotations

from typing import Any

from ..regularizers import Shannon
from ._long_rows import others, with_class
from ._loss import Loss
from ._problem import Problem

__all__ = ["LossOfRegularizer"]

Array = Any


class LossOfRegularizer(Loss):
    """A loss whose prediction is the regularised argmax."""

    regularizer: Any

    @property
    def _elementwise(self) -> bool:  # type: ignore[override]
        return bool(self.regularizer.elementwise)

    @property
    def _matrix(self) -> bool:  # type: ignore[override]
        return bool(self.regularizer.matrix)

    @property
    def _masked(self) -> float:  # type: ignore[override]
        return float(self.regularizer._masked())

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the prediction ``regularizer.argmax(scores)`` (see `Loss.link`)."""
        return self.regularizer.argmax(scores, axis=axis, where=where)

    @property
    def dual_set(self) -> Any:
        """The domain of the regularizer, which ``dual + target`` ranges over."""
        return self.regularizer.domain

    def _of_softmax(self) -> bool:
        return isinstance(self.regularizer, Shannon)

    def _softmax_rows(self, xp: Any, own: Array, rest: Array) -> tuple[Array, Array, Array]:
        """Return losses of classes, and gradients as `factor` * exp(x - max x) and `at_class`.

        `own` is x_k - max x, `rest` the sum of the exponentials of the other classes.
        """
        raise TypeError(f"{type(self).__name__} has no such form")

    def _block(
        self, problem: Problem, target_term: bool, slopes: bool
    ) -> tuple[Array, Array | None]:
        found = others(problem) if self._of_softmax() and problem.classes is not None else None
        if found is None:
            return super()._block(problem, target_term, slopes)
        rows, factor, at_class = self._softmax_rows(
            problem.backend.namespace, found.own, found.total
        )
        return rows, with_class(problem, found.parts * factor, at_class) if slopes else None

    def _takes_blocks(self) -> bool:
        numbers = all(not hasattr(value, "dtype") for value in self._parameters())
        return numbers and bool(self.regularizer.simplex)

    def _parameters(self) -> tuple[Any, ...]:
        return self.regularizer._parameters()  # type: ignore[no-any-return]
