"""A linear layer and a loss in one, for so many classes that the scores are what fills the memory.

The classes are taken a block at a time: the scores of a block are made, what the loss needs of them
is kept, the rest is dropped. Of softmax that is a running log-sum-exp, and the pullback makes each
block again; of a sparse prediction the few entries that still may be in its support, and both
products of the pullback are over the columns of the support alone. Other losses, and label
proportions, which are as large as the scores, take some rows at a time with all of their classes.
"""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice, check_dtype
from ..backend import backend_of
from ..kernels import eager_rule
from ..parameters import check_array, known_to
from ._linear_classes import TILE, by_classes
from ._linear_rows import ByRows
from ._loss import Loss
from ._problem import differentiates
from ._reduction import REDUCTIONS

__all__ = ["linear_loss"]

Array = Any

_ENTRIES = 2**23  # up to so many scores exist at once
_BLOCK_ENTRIES = 2**20  # of a block of classes, which stays in the cache


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
        Classes whose scores exist at once, for at most 1024 rows; other losses have as many scores
        at once, of fewer rows. By default all scores, if they are at most 2^23, else 2^20 of them.

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
    if not _blockwise(backend, fixed, features):
        return formula(features, weights)
    rule = _Rule(*_ways(loss, weights, target, options, reduction, block_size))
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


def _ways(
    loss: Loss,
    weights: Array,
    target: Array,
    options: dict[str, Any],
    reduction: str,
    block_size: int | None,
) -> list[Any]:
    """Return the ways to go, the one for any loss last."""
    rows, classes = target.shape[0], weights.shape[1]
    entries = _ENTRIES if block_size is None else block_size * min(rows, TILE)
    ways: list[Any] = [ByRows(loss, target, options, reduction, entries)]
    if target.ndim == 1 and options["label_smoothing"] == 0.0 and rows * classes > entries:
        size = block_size or max(1, _BLOCK_ENTRIES // min(rows, TILE))
        kind = by_classes(loss)
        if kind is not None:
            ways.insert(0, kind(loss, target, options, reduction, size))
    return ways


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


class _Rule:
    """Value and pullback of the first way that leads there, for plain arrays of any library."""

    def __init__(self, *ways: Any) -> None:
        self.ways = ways

    def value(self, features: Array, weights: Array) -> Array:
        """Return the value where nothing will be pulled back."""
        for way in self.ways:
            value = way.value(features, weights)
            if value is not None:
                break
        return value

    def forward(self, features: Array, weights: Array) -> tuple[Array, tuple[Any, Any]]:
        """Return the value, and what the way keeps of it."""
        for way in self.ways:
            found = way.forward(features, weights)
            if found is not None:
                break
        return found[0], (way, found[1])

    def pullback(
        self, g: Array, inputs: tuple[Array, Array], saved: tuple[Any, Any]
    ) -> tuple[Array, Array]:
        """Return the cotangents of features and weights."""
        way, kept = saved
        return way.pullback(g, inputs, kept)  # type: ignore[no-any-return]
