"""The linear layer and its loss a block of rows at a time, each with the scores of all classes."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import backend_of
from ._linear_parts import Columns, reduced, row_share, scaled, transposed
from ._loss import Loss

__all__ = ["ByRows"]

Array = Any

_KEPT_SHARE = 0.25  # of the columns: above, making G again is cheaper than keeping it


class _Block(NamedTuple):
    """Gradient of a block of rows and its columns; None for all columns, and where not kept."""

    start: int
    stop: int
    columns: Array | None
    gradient: Array | None


class ByRows:
    """Value and pullback for plain arrays of any library and any loss.

    Scores, losses and their gradients G in the scores of a block by the loss's own fused kernel,
    then everything but the columns that G has entries in is dropped. A sparse prediction leaves few
    of them, so that both products of the pullback, G W' and F' G, are over those columns alone.
    Where most columns are left (softmax), G is not kept but made again.
    """

    def __init__(
        self, loss: Loss, target: Array, options: dict[str, Any], reduction: str, entries: int
    ) -> None:
        self.loss, self.target, self.options = loss, target, options
        self.reduction, self.entries = reduction, entries

    def value(self, features: Array, weights: Array) -> Array:
        """Return the value where nothing will be pulled back."""
        xp = backend_of(features).namespace
        losses = [
            self.loss(self._scores(features, weights, part), self.target[part], **self._each())
            for part in self._parts(features, weights)
        ]
        return self._reduced(xp.concat(losses))

    def forward(self, features: Array, weights: Array) -> tuple[Array, list[_Block]]:
        """Return the value, and the gradients of the blocks."""
        xp = backend_of(features).namespace
        losses, blocks = [], []
        parts = self._parts(features, weights)
        for part in parts:
            rows, gradient = self._both(features, weights, part)
            losses.append(rows)
            blocks.append(_packed(xp, gradient, part, len(parts) == 1))
        return self._reduced(xp.concat(losses)), blocks

    def pullback(
        self, g: Array, inputs: tuple[Array, Array], blocks: list[_Block]
    ) -> tuple[Array, Array]:
        """Return the cotangents of features and weights."""
        features, weights = inputs
        backend = backend_of(features)
        xp = backend.namespace
        g = row_share(g, features, self.target, self.options, self.reduction)
        pulled, total = [], Columns(backend, weights)
        for block in blocks:
            part = slice(block.start, block.stop)
            columns, gradient = block.columns, block.gradient
            if gradient is None:
                gradient = self._both(features, weights, part)[1]
            gradient = scaled(xp, gradient, g[part])
            inside = weights if columns is None else xp.take(weights, columns, axis=1)
            pulled.append(xp.matmul(gradient, transposed(xp, inside)))
            total.add(columns, xp.matmul(transposed(xp, features[part, :]), gradient))
        return xp.concat(pulled), total.sum()

    def _parts(self, features: Array, weights: Array) -> list[slice]:
        n, step = features.shape[0], max(1, self.entries // weights.shape[1])
        return [slice(start, min(n, start + step)) for start in range(0, n, step)]

    def _scores(self, features: Array, weights: Array, part: slice) -> Array:
        return backend_of(features).namespace.matmul(features[part, :], weights)

    def _each(self) -> dict[str, Any]:
        return {"reduction": "none", **self.options}

    def _both(self, features: Array, weights: Array, part: slice) -> tuple[Array, Array]:
        scores = self._scores(features, weights, part)
        return self.loss.value_and_grad(scores, self.target[part], **self._each())

    def _reduced(self, losses: Array) -> Array:
        return reduced(losses, self.target, self.options, self.reduction)


def _packed(xp: Any, gradient: Array, part: slice, alone: bool) -> _Block:
    """Keep the columns of a gradient that are not 0, if they are few; all if it is the only one."""
    columns = xp.nonzero(xp.any(gradient != 0, axis=0))[0]
    if columns.shape[0] > _KEPT_SHARE * gradient.shape[1]:
        return _Block(part.start, part.stop, None, gradient if alone else None)
    return _Block(part.start, part.stop, columns, xp.take(gradient, columns, axis=1))
