"""What both ways through a linear layer and its loss do: reduction, and sums over columns."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of

__all__ = ["Columns", "reduced", "row_share", "scaled", "transposed"]

Array = Any

_SCATTERED = 2**20  # entries at a time


def reduced(losses: Array, target: Array, options: dict[str, Any], reduction: str) -> Array:
    """Return the reduction of losses of rows, weighed already."""
    if reduction == "none":
        return losses
    xp, info = backend_of(losses).namespace, check_dtype("losses", losses)
    total = xp.sum(widen(xp, losses, info))
    return narrow(xp, total / _count(losses, target, options, reduction), info, losses.dtype)


def row_share(
    g: Array, like: Array, target: Array, options: dict[str, Any], reduction: str
) -> Array:
    """Return the cotangent of each row from that of the reduction."""
    if reduction == "none":
        return g
    share = g / _count(like, target, options, reduction)
    return backend_of(like).namespace.broadcast_to(share, (like.shape[0],))


def _count(like: Array, target: Array, options: dict[str, Any], reduction: str) -> float:
    """What the sum is divided by: 1, the number of rows, or the weights of their classes."""
    weight, ignored = options["weight"], options.get("ignore_index")
    if reduction == "sum":
        return 1.0
    if target.ndim == 2 or (weight is None and ignored is None):
        return float(like.shape[0])
    xp = backend_of(like).namespace
    out = target == (-1 if ignored is None else ignored)
    if weight is None:
        total = float(target.shape[0] - int(xp.sum(xp.astype(out, target.dtype))))
    else:
        counted = xp.take(weight, xp.where(out, xp.zeros_like(target), target))
        counted = widen(xp, counted, check_dtype("weight", weight))
        total = float(xp.sum(xp.where(out, xp.zeros_like(counted), counted)))
    return total if total != 0.0 else 1.0


class Columns:
    """A sum of updates of some columns, added up together: each addition writes all columns."""

    def __init__(self, backend: Any, like: Array) -> None:
        self.backend, self.xp = backend, backend.namespace
        self.total = self.xp.zeros_like(like)
        self.waiting: list[tuple[Array, Array]] = []
        self.width = 0

    def add(self, columns: Array | None, update: Array) -> None:
        """Add an update of the given columns, or of all."""
        if columns is None:
            self.total = self.total + update
            return
        if columns.shape[0] == 0:
            return
        self.waiting.append((columns, update))
        self.width += columns.shape[0]
        if self.width > self.total.shape[1]:
            self.sum()

    def sum(self) -> Array:
        """Return the sum so far."""
        if self.waiting:
            columns, updates = zip(*self.waiting, strict=True)
            update, places = self.xp.concat(updates, axis=1), self.xp.concat(columns)
            self.waiting, self.width = [], 0
            d, step = update.shape[0], max(1, _SCATTERED // self.total.shape[1])
            self.total = self.xp.concat(
                [self._added(update, places, slice(i, min(d, i + step))) for i in range(0, d, step)]
            )
        return self.total

    def _added(self, update: Array, places: Array, rows: slice) -> Array:
        """Return some rows of the sum; what scattering takes is several times their size."""
        part = update[rows, :]
        places = self.xp.broadcast_to(places, tuple(part.shape))
        return self.backend.scatter_add(self.total[rows, :], places, part)


def transposed(xp: Any, matrix: Array) -> Array:
    """Return the transpose."""
    return xp.permute_dims(matrix, (1, 0))


def scaled(xp: Any, gradient: Array, g: Array) -> Array:
    """Return the rows times their cotangents; 0 makes 0 of anything."""
    g = xp.expand_dims(g, axis=-1)
    return xp.where(g == 0, xp.zeros_like(gradient), gradient * g)
