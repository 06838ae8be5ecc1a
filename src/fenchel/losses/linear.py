"""A linear layer and a loss in one, for so many classes that the scores are what fills the memory.

Rows are taken a block at a time: scores, losses and their gradients G in the scores of the block by
the loss's own fused kernel, then everything but the columns that G has entries in is dropped. A
sparse prediction leaves few of them, so that both products of the pullback, G W' and F' G, are over
those columns alone. Where most columns are left (softmax), G is not kept but made again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import check_choice, check_dtype
from ..backend import backend_of
from ..kernels import eager_rule
from ..parameters import check_array, known_to
from ._loss import Loss
from ._problem import differentiates
from ._reduction import REDUCTIONS

__all__ = ["linear_loss"]

Array = Any

_BLOCK_ENTRIES = 2**23
_KEPT_SHARE = 0.25  # of the columns: above, making G again is cheaper than keeping it


def linear_loss(
    loss: Loss,
    features: Array,
    weights: Array,
    target: Array,
    /,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    block_size: int | None = None,
) -> Array:
    r"""Loss of the scores ``features @ weights``, of which only a block exists at any time.

    Parameters
    ----------
    loss : Loss
        Any loss over the classes; the sparser its prediction, the less the pullback costs.
    features : array (n, d)
        Inputs of the layer, of a real floating dtype.
    weights : array (d, classes)
        Weights of the layer; a bias is a feature that is 1.
    target : array (n,) or (n, classes)
        Classes, or label proportions.
    weight, ignore_index, label_smoothing
        As for the loss; for label proportions there is no `ignore_index`.
    reduction : {"mean", "sum", "none"}
        What is done with the losses of the rows.
    block_size : int, optional
        Rows of scores that exist at once; by default 2^23 numbers.

    Returns
    -------
    array
        A scalar, or with "none" one loss a row.

    Raises
    ------
    TypeError
        If `loss` is no loss over classes, or an array is not of a real floating dtype.
    ValueError
        If shapes do not match, or an option is unknown or out of range.

    Notes
    -----
    *Derivatives*: in `features` and `weights`. The first reverse derivative, eagerly, is in blocks:
    O(n d c) where the predictions of a block touch c columns. Under a compiler, with traced or
    differentiated targets or parameters of the loss, in forward mode and for higher derivatives the
    scores are one array.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import linear_loss, sparsemax_loss
    >>> features = np.asarray([[1.0, 0.0], [0.5, 1.0]])
    >>> weights = np.asarray([[2.0, 0.5, 0.0], [0.0, 0.25, 1.0]])
    >>> float(linear_loss(sparsemax_loss, features, weights, np.asarray([0, 2])))
    0.125
    """
    options: dict[str, Any] = {"weight": weight, "label_smoothing": label_smoothing}
    if ignore_index is not None:
        options["ignore_index"] = ignore_index
    backend = _check(loss, features, weights, target, ignore_index, reduction, block_size)
    features, weights = known_to(backend, features), known_to(backend, weights)

    def formula(features: Array, weights: Array) -> Array:
        xp = backend_of(features, weights).namespace
        return loss(xp.matmul(features, weights), target, reduction=reduction, **options)

    fixed = (target, weight, *loss._parameters())
    rows = block_size or max(1, _BLOCK_ENTRIES // max(1, weights.shape[1]))
    if not _blockwise(backend, fixed, features):
        return formula(features, weights)
    rule = _Rule(loss, target, options, reduction, rows)
    if not differentiates(backend):
        return rule.value(features, weights)
    found = eager_rule(backend, rule, formula, features, weights)
    return formula(features, weights) if found is None else found


def _check(
    loss: Loss,
    features: Array,
    weights: Array,
    target: Array,
    ignore_index: int | None,
    reduction: str,
    block_size: int | None,
) -> Any:
    """Return the backend of valid arguments."""
    if not isinstance(loss, Loss) or loss._elementwise:
        raise TypeError(
            f"`loss` must be a loss of fenchel.losses over classes; got {type(loss).__qualname__}"
        )
    check_choice("reduction", reduction, REDUCTIONS)
    backend = backend_of(features, weights, target)
    for name, value in (("features", features), ("weights", weights)):
        check_array(name, value, backend)
        check_dtype(name, value)
        if value.ndim != 2:
            raise ValueError(f"`{name}` must have two axes; got shape {tuple(value.shape)}")
    if features.shape[1] != weights.shape[0]:
        raise ValueError(
            "`weights` must have a row for each feature; "
            f"got {tuple(weights.shape)} with features {tuple(features.shape)}"
        )
    if weights.shape[1] == 0:
        raise ValueError(f"`weights` must have a class; got shape {tuple(weights.shape)}")
    if target.ndim not in (1, 2) or target.shape[0] != features.shape[0]:
        raise ValueError(
            f"`target` must have one entry or row for each of {features.shape[0]} rows of "
            f"`features`; got shape {tuple(target.shape)}"
        )
    if ignore_index is not None and target.ndim == 2:
        raise ValueError("`ignore_index` must be None for label proportions")
    if block_size is not None and block_size < 1:
        raise ValueError(f"`block_size` must be at least 1; got block_size={block_size}")
    return backend


def _blockwise(backend: Any, fixed: tuple[Any, ...], features: Array) -> bool:
    """Whether values can be looked at, and nothing but features and weights is differentiated."""
    arrays = [value for value in fixed if hasattr(value, "dtype")]
    live = any(
        getattr(value, "requires_grad", False)
        or getattr(backend_of(value), "base", None) is not None
        for value in arrays
    )
    traced = backend.is_traced(features) or any(backend.is_traced(value) for value in arrays)
    return not (live or traced) and features.shape[0] > 0


class _Block(NamedTuple):
    """Gradient of a block of rows and its columns; None for all columns, and where not kept."""

    start: int
    stop: int
    columns: Array | None
    gradient: Array | None


class _Rule:
    """Value and pullback of the layer and its loss, for plain arrays of any library."""

    def __init__(
        self, loss: Loss, target: Array, options: dict[str, Any], reduction: str, rows: int
    ) -> None:
        self.loss, self.target, self.options = loss, target, options
        self.reduction, self.rows = reduction, rows

    def value(self, features: Array, weights: Array) -> Array:
        """Return the value where nothing will be pulled back."""
        xp = backend_of(features).namespace
        losses = [
            self.loss(self._scores(features, weights, part), self.target[part], **self._each())
            for part in self._parts(features)
        ]
        return self._reduced(xp.concat(losses))

    def forward(self, features: Array, weights: Array) -> tuple[Array, list[_Block]]:
        """Return the value, and the gradients of the blocks."""
        xp = backend_of(features).namespace
        losses, blocks = [], []
        for part in self._parts(features):
            rows, gradient = self._both(features, weights, part)
            losses.append(rows)
            alone = features.shape[0] <= self.rows
            blocks.append(_packed(xp, gradient, part, alone))
        return self._reduced(xp.concat(losses)), blocks

    def pullback(
        self, g: Array, inputs: tuple[Array, Array], blocks: list[_Block]
    ) -> tuple[Array, Array]:
        """Return the cotangents of features and weights."""
        features, weights = inputs
        backend = backend_of(features)
        xp = backend.namespace
        if self.reduction != "none":
            g = xp.broadcast_to(g / self._count(features), (features.shape[0],))
        pulled, total = [], _Columns(backend, weights)
        for block in blocks:
            part = slice(block.start, block.stop)
            columns, gradient = block.columns, block.gradient
            if gradient is None:
                gradient = self._both(features, weights, part)[1]
            gradient = _scaled(xp, gradient, g[part])
            inside = weights if columns is None else xp.take(weights, columns, axis=1)
            pulled.append(xp.matmul(gradient, _transposed(xp, inside)))
            total.add(columns, xp.matmul(_transposed(xp, features[part, :]), gradient))
        return xp.concat(pulled), total.sum()

    def _parts(self, features: Array) -> list[slice]:
        n = features.shape[0]
        return [slice(start, min(n, start + self.rows)) for start in range(0, n, self.rows)]

    def _scores(self, features: Array, weights: Array, part: slice) -> Array:
        return backend_of(features).namespace.matmul(features[part, :], weights)

    def _each(self) -> dict[str, Any]:
        return {"reduction": "none", **self.options}

    def _both(self, features: Array, weights: Array, part: slice) -> tuple[Array, Array]:
        scores = self._scores(features, weights, part)
        return self.loss.value_and_grad(scores, self.target[part], **self._each())

    def _reduced(self, losses: Array) -> Array:
        if self.reduction == "none":
            return losses
        total = backend_of(losses).namespace.sum(losses, dtype=losses.dtype)
        return total / self._count(losses)

    def _count(self, like: Array) -> Any:
        """What the sum is divided by: 1, the number of rows, or the weights of their classes."""
        n, weight, ignored = like.shape[0], self.options["weight"], self.options.get("ignore_index")
        if self.reduction == "sum" or self.target.ndim == 2:
            return 1.0 if self.reduction == "sum" else float(n)
        xp = backend_of(like).namespace
        out = self.target == (-1 if ignored is None else ignored)
        safe = xp.where(out, xp.zeros_like(self.target), self.target)
        counted = xp.astype(xp.ones_like(self.target), like.dtype)
        if weight is not None:
            counted = xp.astype(xp.take(weight, safe), like.dtype)
        total = float(xp.sum(xp.where(out, xp.zeros_like(counted), counted)))
        return total if total != 0.0 else 1.0


class _Columns:
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
            update = self.xp.concat(updates, axis=1)
            places = self.xp.broadcast_to(self.xp.concat(columns), tuple(update.shape))
            self.total = self.backend.scatter_add(self.total, places, update)
            self.waiting, self.width = [], 0
        return self.total


def _transposed(xp: Any, matrix: Array) -> Array:
    return xp.permute_dims(matrix, (1, 0))


def _packed(xp: Any, gradient: Array, part: slice, alone: bool) -> _Block:
    """Keep the columns of a gradient that are not 0, if they are few; all if it is the only one."""
    columns = xp.nonzero(xp.any(gradient != 0, axis=0))[0]
    if columns.shape[0] > _KEPT_SHARE * gradient.shape[1]:
        return _Block(part.start, part.stop, None, gradient if alone else None)
    return _Block(part.start, part.stop, columns, xp.take(gradient, columns, axis=1))


def _scaled(xp: Any, gradient: Array, g: Array) -> Array:
    """Return the rows times their cotangents; 0 makes 0 of anything."""
    g = xp.expand_dims(g, axis=-1)
    return xp.where(g == 0, xp.zeros_like(gradient), gradient * g)
