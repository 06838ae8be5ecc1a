"""Value and pullback of a loss of pairs by its closed slopes, for plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ...backend import namespace

__all__ = ["Rule", "reduced"]

Array = Any


def reduced(rows: Array, reduction: str) -> Array:
    """Return the mean or the sum of the losses, or all of them."""
    if reduction == "none":
        return rows
    xp = namespace(rows)
    return xp.mean(rows) if reduction == "mean" else xp.sum(rows)


class Rule:
    """What `eager_rule` asks for."""

    def __init__(
        self,
        slopes: Callable[[Array, Array], tuple[Array, ...]],
        rows: Callable[[Array, Array], Array],
        reduction: str,
    ) -> None:
        self.slopes, self.rows, self.reduction = slopes, rows, reduction

    def forward(self, a: Array, b: Array) -> tuple[Array, Any]:
        """Return the loss; nothing is saved but the inputs."""
        return reduced(self.rows(a, b), self.reduction), ()

    def pullback(self, cotangent: Array, inputs: Any, saved: Any) -> tuple[Array, Array]:
        """Return the slopes times what comes from above."""
        first, second = self.slopes(*inputs)
        if self.reduction == "mean":
            cotangent = cotangent / prod(first.shape)
        return cotangent * first, cotangent * second
