"""The linear layer and its loss a block of classes at a time, for classes as targets.

With softmax two numbers a row are carried from block to block: the largest score, and the sum of
the exponentials of all but the row's class relative to it. A sparse prediction depends on the
entries above a floor that rises with every block, and on the class: these few are carried.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of
from ..operators._candidates import marked_places
from ..operators._tsallis import raised_floor
from ._linear_parts import Columns, reduced, row_share, scaled, transposed
from ._loss import Loss
from ._reduction import class_weights, row_weights, weighed
from ._targets import Target, read_index

__all__ = ["TILE", "by_classes"]

Array = Any

TILE = 1024  # rows at a time
_DENSE_ENTRIES = 2**23  # of the gradient of some rows
_NARROW = 16  # entries of a row from which on they are looked through again
_SHARE = 4  # of the classes: if a row may predict more than a quarter, nothing is gained


def by_classes(loss: Loss) -> type[_ByClasses] | None:
    """Return the way of a loss over blocks of classes; None where whole rows are needed."""
    if loss._window() is not None:
        return _BySupport
    return _BySoftmax if loss._takes_blocks() and loss._of_softmax() else None


class _Block(NamedTuple):
    """Scores of a block of classes, with those of the rows' own classes where they are in it."""

    start: int
    scores: Array
    own: Array
    hit: Array


class _ByClasses(ABC):
    """Value and pullback for plain arrays of any library."""

    def __init__(
        self, loss: Any, target: Array, options: dict[str, Any], reduction: str, size: int
    ) -> None:
        self.loss, self.target, self.options = loss, target, options
        self.reduction, self.size = reduction, size

    def value(self, features: Array, weights: Array) -> Array | None:
        """Return the value, None where this way does not lead there."""
        found = self.forward(features, weights)
        return None if found is None else found[0]

    def forward(self, features: Array, weights: Array) -> tuple[Array, list[Any]] | None:
        """Return the value, and what is kept of each tile of rows."""
        backend = backend_of(features)
        xp, classes = backend.namespace, self._classes(weights)
        losses, kept = [], []
        for part in _parts(features.shape[0], TILE):
            found = self._tile(features[part, :], weights, classes[part, :])
            if found is None:
                return None
            losses.append(found[0])
            kept.append(found[1])
        rows = self._weighed(xp.concat(losses), weights)[:, 0]
        rows = narrow(xp, rows, check_dtype("features", features), features.dtype)
        return reduced(rows, self.target, self.options, self.reduction), kept

    def pullback(
        self, g: Array, inputs: tuple[Array, Array], kept: list[Any]
    ) -> tuple[Array, Array]:
        """Return the cotangents of features and weights."""
        features, weights = inputs
        g = row_share(g, features, self.target, self.options, self.reduction)
        g = widen(backend_of(features).namespace, g, check_dtype("features", features))
        return self._pulled(self._weighed(g[:, None], weights), features, weights, kept)

    @abstractmethod
    def _tile(self, features: Array, weights: Array, classes: Array) -> tuple[Array, Any] | None:
        """Return losses (rows, 1), and what the pullback needs; None for the way of rows."""

    @abstractmethod
    def _pulled(
        self, g: Array, features: Array, weights: Array, kept: list[Any]
    ) -> tuple[Array, Array]:
        """Return the cotangents for those of the rows (n, 1)."""

    def _read(self, weights: Array) -> Target:
        ignored = self.options.get("ignore_index")
        shape = (self.target.shape[0],)
        return read_index(backend_of(weights), self.target, shape, ignored, weights)

    def _classes(self, weights: Array) -> Array:
        classes: Any = self._read(weights).classes
        return classes

    def _weighed(self, rows: Array, weights: Array) -> Array:
        """Return rows times the weights of their classes; ignored ones are 0."""
        backend, weight, target = backend_of(rows), self.options["weight"], self._read(weights)
        if weight is not None:
            n = weights.shape[1]
            weight = class_weights(backend, weight, n, rows.dtype)
            weight = row_weights(backend, target, weight, None, n)
        return weighed(backend, rows, target, weight)

    def _blocks(self, features: Array, weights: Array, classes: Array) -> Iterator[_Block]:
        """Make the scores block after block."""
        for part in _parts(weights.shape[1], self.size):
            yield _block(features, weights[:, part], classes, part.start)


def _parts(n: int, step: int) -> list[slice]:
    return [slice(start, min(n, start + step)) for start in range(0, n, step)]


def _block(features: Array, weights: Array, classes: Array, start: int) -> _Block:
    xp = backend_of(features).namespace
    scores = widen(xp, xp.matmul(features, weights), check_dtype("features", features))
    local = classes - start
    hit = (local >= 0) & (local < scores.shape[1])
    own = xp.take_along_axis(scores, xp.where(hit, local, xp.zeros_like(local)), axis=1)
    return _Block(start, scores, own, hit)


def _at_class(block: _Block, classes: Array, entries: Array, own: Array) -> Array:
    """Return entries of a block with `own` (rows, 1) at the class of a row, if it is in there."""
    backend = backend_of(entries)
    xp, n = backend.namespace, entries.shape[1]
    places = xp.arange(n, dtype=classes.dtype, device=backend.device_of(classes)) + block.start
    return xp.where(places == classes, own, entries)


class _BySoftmax(_ByClasses):
    """Softmax: each block is made again for the pullback."""

    def _tile(self, features: Array, weights: Array, classes: Array) -> tuple[Array, Any] | None:
        xp = backend_of(features).namespace
        top: Any = None
        for block in self._blocks(features, weights, classes):
            here = xp.max(block.scores, axis=1, keepdims=True)
            if top is None:
                top, own, rest = here, block.own, xp.zeros_like(here)
            new = xp.maximum(top, here)
            if not bool(xp.all(xp.isfinite(new) & xp.isfinite(top))):
                return None
            own = xp.where(block.hit, block.own, own)
            others = _at_class(block, classes, block.scores - new, xp.full_like(new, float("-inf")))
            rest = rest * xp.exp(top - new) + xp.sum(xp.exp(others), axis=1, keepdims=True)
            top = new
        rows, factor, at_class = self.loss._softmax_rows(xp, own - top, rest)
        return rows, (top, factor, at_class)

    def _pulled(
        self, g: Array, features: Array, weights: Array, kept: list[Any]
    ) -> tuple[Array, Array]:
        xp, info = backend_of(features).namespace, check_dtype("features", features)
        classes, tiles = self._classes(weights), _parts(features.shape[0], TILE)
        pulled: list[Any] = [0.0] * len(tiles)
        columns = []
        for part in _parts(weights.shape[1], self.size):
            inside, total = weights[:, part], 0.0
            for i, rows in enumerate(tiles):
                top, factor, at_class = kept[i]
                block = _block(features[rows, :], inside, classes[rows, :], part.start)
                slopes = xp.exp(block.scores - top) * (factor * g[rows, :])
                slopes = _at_class(block, classes[rows, :], slopes, at_class * g[rows, :])
                slopes = narrow(xp, slopes, info, features.dtype)
                pulled[i] = xp.matmul(slopes, transposed(xp, inside)) + pulled[i]
                total = xp.matmul(transposed(xp, features[rows, :]), slopes) + total
            columns.append(total)
        return xp.concat(pulled), xp.concat(columns, axis=1)


class _BySupport(_ByClasses):
    """Sparse predictions: the pullback is over the columns of the supports of some rows."""

    def _tile(self, features: Array, weights: Array, classes: Array) -> tuple[Array, Any] | None:
        backend = backend_of(features)
        xp, most = backend.namespace, max(1, weights.shape[1] // _SHARE)
        carried: Any = None
        wide = _NARROW
        for block in self._blocks(features, weights, classes):
            here = xp.max(block.scores, axis=1, keepdims=True)
            if carried is None:
                top, own = here, block.own
                floor = xp.full_like(here, float("-inf"))
            top, own = xp.maximum(top, here), xp.where(block.hit, block.own, own)
            if not bool(xp.all(xp.isfinite(top))):
                return None
            found = self._above(backend, block, top, floor, classes)
            carried = found if carried is None else _joined(xp, carried, found)
            if carried[0].shape[1] <= wide:
                continue
            floor = raised_floor(backend, carried[0], top, *self.loss._window())
            places = marked_places(backend, carried[0] > floor, most)
            if places is None:
                return None
            columns = xp.take_along_axis(carried[1], places[0], axis=1)
            carried = _gathered(xp, carried[0], *places, columns, classes)
            wide = 2 * carried[0].shape[1]
        scores = xp.concat([own, carried[0]], axis=1)
        columns = xp.concat([classes, carried[1]], axis=1)
        first = xp.zeros_like(classes[:, 0])
        rows, slopes = self.loss.value_and_grad(scores, first, reduction="none")
        return rows[:, None], (columns, slopes)

    def _above(
        self, backend: Any, block: _Block, top: Array, floor: Array, classes: Array
    ) -> tuple[Array, Array]:
        """Return scores and columns of the entries above the floor but for the rows' classes."""
        xp = backend.namespace
        alone = raised_floor(backend, None, top, *self.loss._window())
        above = block.scores > xp.maximum(alone, floor)
        found: Any = marked_places(backend, above, block.scores.shape[1])  # as many as there are
        places, inside = found
        columns = xp.astype(places, classes.dtype) + block.start
        inside = inside & (columns != classes)
        return _gathered(xp, block.scores, places, inside, columns, classes)

    def _pulled(
        self, g: Array, features: Array, weights: Array, kept: list[Any]
    ) -> tuple[Array, Array]:
        backend = backend_of(features)
        xp, info = backend.namespace, check_dtype("features", features)
        total, pulled = Columns(backend, weights), []
        for part, (columns, slopes) in zip(_parts(features.shape[0], TILE), kept, strict=True):
            for rows in _parts(slopes.shape[0], max(1, _DENSE_ENTRIES // weights.shape[1])):
                start, stop = part.start + rows.start, part.start + rows.stop
                union, dense = _dense(backend, columns[rows, :], slopes[rows, :], weights.shape[1])
                dense = scaled(xp, dense, g[start:stop, 0])
                dense = narrow(xp, dense, info, features.dtype)
                inside = weights if union is None else xp.take(weights, union, axis=1)
                pulled.append(xp.matmul(dense, transposed(xp, inside)))
                total.add(union, xp.matmul(transposed(xp, features[start:stop, :]), dense))
        return xp.concat(pulled), total.sum()


def _joined(xp: Any, *found: tuple[Array, Array]) -> tuple[Array, Array]:
    scores, columns = zip(*found, strict=True)
    return xp.concat(scores, axis=1), xp.concat(columns, axis=1)


def _gathered(
    xp: Any, scores: Array, places: Array, inside: Array, columns: Array, classes: Array
) -> tuple[Array, Array]:
    """Return scores at some places of their rows with their columns, -inf and the class beside."""
    scores = xp.take_along_axis(scores, places, axis=1)
    scores = xp.where(inside, scores, xp.full_like(scores, float("-inf")))
    return scores, xp.where(inside, columns, classes)


def _dense(backend: Any, columns: Array, slopes: Array, classes: int) -> tuple[Array | None, Array]:
    """Return the columns that some rows have slopes in, None for most, and the slopes in them."""
    xp = backend.namespace
    columns = xp.where(slopes != 0, columns, columns[:, :1])
    flat = xp.reshape(columns, (-1,))
    union = xp.sort(xp.unique_values(flat))
    if _SHARE * union.shape[0] > classes:
        return None, backend.segment_sum(slopes, columns, classes)
    places = xp.reshape(xp.searchsorted(union, flat), columns.shape)
    return union, backend.segment_sum(slopes, places, union.shape[0])
