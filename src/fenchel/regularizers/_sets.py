"""Sets that regularizers live on: which of them can do without an entry, and how."""

from __future__ import annotations

from typing import Any

from ..convex import (
    CappedSimplex,
    Cube,
    Knapsack,
    L1Ball,
    L2Ball,
    LInfBall,
    NonNegative,
    Reals,
    Simplex,
)
from ._fields import finite_scores
from ._rows import Regularizer

__all__ = ["OnSet"]

Array = Any

# A score of -inf makes an entry 0 here, and a score of 0 there.
_BELOW = (Simplex, CappedSimplex, Cube, Knapsack, NonNegative)
_CENTRED = (Reals, L1Ball, L2Ball, LInfBall)
_MATRICES = ("Birkhoff", "Transport", "PSDCone")


class OnSet(Regularizer):
    """A regularizer on a set that is a field."""

    set: Any

    @property
    def domain(self) -> Any:
        """The set."""
        return self.set

    @property
    def matrix(self) -> bool:
        """Whether the points of the set are matrices."""
        return type(self.set).__name__ in _MATRICES

    def _masked(self) -> float:
        return float("-inf") if isinstance(self.set, _BELOW) else 0.0

    def _takes_mask(self) -> bool:
        return isinstance(self.set, (*_BELOW, *_CENTRED))

    def _max(self, backend: Any, z: Array) -> Array:
        p = self._argmax(backend, z)
        inside, _ = finite_scores(backend, z)
        return backend.namespace.sum(p * inside, axis=-1) - self._value(backend, p)
