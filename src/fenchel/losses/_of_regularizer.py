"""What the losses of a regularizer take from it."""

from __future__ import annotations

from typing import Any

from ._loss import Loss

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

    def _takes_blocks(self) -> bool:
        numbers = all(not hasattr(value, "dtype") for value in self._parameters())
        return numbers and bool(self.regularizer.simplex)

    def _parameters(self) -> tuple[Any, ...]:
        return self.regularizer._parameters()  # type: ignore[no-any-return]
