"""What every loss does first and last: checks, masks, axes, half precision, weights, reduction."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import (
    FloatInfo,
    axis_back,
    axis_last,
    check_axis,
    check_choice,
    check_dtype,
    check_number,
    dtype_name,
    narrow,
    widen,
)
from ..backend import backend_of
from ..parameters import check_array, check_mask, known_to
from ._reduction import REDUCTIONS, class_weights, denominator, kept_share, row_weights, weighed
from ._targets import Target, known_target, read_dense, read_index, smoothed

__all__ = ["Problem", "differentiates", "open_problem"]

Array = Any


class Problem(NamedTuple):
    """Prepared arguments of a loss: the event axis last, one row of it an event.

    Attributes
    ----------
    backend
        Adapter of the scores, or the one that traces if another argument is traced.
    x
        Scores (..., n) in float32 or float64; masked entries hold what the loss asked for. Losses
        whose events are single entries have n = 1.
    target
        Classes or dense rows; see `Target`.
    mask
        Entries that take part, None for all.
    smoothing
        Strength of the label smoothing.
    weights, kept
        Weight of each row (..., 1), and what a mean over dense rows counts; None for ones.
    constant_target
        Whether no derivative in the target is asked for.
    hard_labels
        Whether the labels of single entries are known to be 0 or 1.
    entry_weights
        Weights (n,) of the entries, for losses that are sums over them.
    matrix
        Whether an event is a matrix: the losses of its rows are summed.
    """

    backend: Any
    x: Array
    target: Target
    mask: Array | None
    smoothing: float
    weights: Array | None
    kept: Array | None
    reduction: str
    axis: int
    info: FloatInfo
    dtype: Any
    elementwise: bool
    constant_target: bool
    hard_labels: bool
    entry_weights: Array | None
    matrix: bool = False

    @property
    def classes(self) -> Array | None:
        """Class of each row (..., 1) where it is all there is to the target: no smoothing."""
        return self.target.classes if self.smoothing == 0.0 else None

    def soft_target(self) -> Array:
        """Return the target as dense rows, smoothed."""
        if self.elementwise:  # an entry is the first of two classes
            dense = self.target.dense
            return dense if self.smoothing == 0.0 else self._two_classes(dense)
        return smoothed(self.backend, self.target, self.x, self.smoothing)

    def _two_classes(self, dense: Array) -> Array:
        return (1.0 - self.smoothing) * dense + 0.5 * self.smoothing

    def _unmasked(self, values: Array) -> Array:
        """Return rows, or gradients, that are 0 for single entries that are masked."""
        if not self.elementwise or self.mask is None:
            return values
        xp = self.backend.namespace
        return xp.where(self.mask, values, xp.zeros_like(values))

    def reduce(self, losses: Array, *, weigh: bool = True) -> Array:
        """Weigh and reduce losses of rows (..., 1), and narrow them to the caller's dtype.

        Without `weigh` the losses are weighed already: the weights only divide.
        """
        backend, xp = self.backend, self.backend.namespace
        weights = self.weights if weigh else None
        losses = self._unmasked(weighed(backend, losses, self.target, weights))
        if self.matrix:
            losses = xp.sum(losses, axis=-2)
        if self.reduction == "none":
            return narrow(xp, losses[..., 0], self.info, self.dtype)
        total = xp.sum(losses, dtype=losses.dtype)
        if self.reduction == "mean":
            total = _divided(xp, total, self.count(losses))
        return narrow(xp, total, self.info, self.dtype)

    def count(self, rows: Array) -> Any:
        """Return what a mean divides by; `rows` are like the losses (..., 1)."""
        return denominator(self.backend, rows, self.target, self.weights, self.kept)

    def reduce_gradient(self, gradient: Array, count: Any = None) -> Array:
        """Return the gradient of `reduce`, for gradients (..., n) of the rows.

        `count` is that of the mean where these are but some of the rows.
        """
        backend, xp = self.backend, self.backend.namespace
        gradient = self._unmasked(weighed(backend, gradient, self.target, self.weights))
        if self.reduction == "mean":
            if count is None:
                count = self.count(gradient[..., 0, :1] if self.matrix else gradient[..., :1])
            gradient = _divided(xp, gradient, count)
        gradient = narrow(xp, gradient, self.info, self.dtype)
        return gradient[..., 0] if self.elementwise else axis_back(xp, gradient, self.axis)


def _divided(xp: Any, total: Array, count: Any) -> Array:
    """Return total / count, 0 over nothing."""
    if isinstance(count, int):
        return total / max(count, 1)
    safe = xp.where(count == 0, xp.ones_like(count), count)
    return xp.where(count == 0, xp.zeros_like(total), total / safe)


def open_problem(
    scores: Array,
    target: Array,
    *,
    axis: int,
    where: Array | None,
    weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    masked: float = float("-inf"),
    elementwise: bool = False,
    labels: bool = False,
    matrix: bool = False,
    parameters: tuple[Any, ...] = (),
) -> Problem:
    """Check the arguments of a loss and prepare them.

    Parameters
    ----------
    masked
        What scores outside of `where` become.
    elementwise
        Whether every entry is an event of its own; targets are then labels.
    labels
        Whether integer targets are labels of entries.
    matrix
        Whether events are matrices, on the last two axes.
    parameters
        Array fields of the loss, which may be traced.

    Raises
    ------
    TypeError, ValueError
        As the callers document.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    smoothing = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
    check_array("target", target, backend_of(scores))
    backend = backend_of(scores, target, *_arrays(weight, *parameters))
    xp = backend.namespace
    constant = not getattr(target, "requires_grad", False) and is_plain(backend_of(target))
    scores, target = known_to(backend, scores), known_target(backend, target)
    info = check_dtype("scores", scores)
    if elementwise:
        axis = scores.ndim
        x, mask = _entries(backend, scores, where, info)
    else:
        axis = check_axis(axis, scores, "scores")
        x, mask = _rows(backend, scores, where, axis, info)
    if matrix:
        _check_matrices(backend, scores, target, axis, weight, ignore_index, smoothing)
    if mask is not None:
        x = xp.where(mask, x, xp.full_like(x, masked))
    if ignore_index is not None:
        ignore_index = _integer("ignore_index", ignore_index)
    read = _read(backend, target, scores, x, axis, info, ignore_index, elementwise, labels)
    if read.ignored is not None:  # whatever such a row holds leaves no trace in value or gradient
        x = xp.where(read.ignored, xp.zeros_like(x), x)
    integral = xp.isdtype(target.dtype, ("bool", "integral"))
    n = 2 if elementwise else x.shape[-1]
    if weight is not None:
        weight = class_weights(backend, weight, n, x.dtype)
    entry_weights = None
    if labels:  # values rather than classes: nothing to smooth, weights of entries
        if smoothing > 0.0:
            raise ValueError(
                "`label_smoothing` must be 0 for targets that are no labels of classes; "
                f"got label_smoothing={smoothing:g}"
            )
        entry_weights, weights, kept = weight, None, None
    elif elementwise:
        weights = None if weight is None else _label_weights(read.dense, weight)
        kept = weights if integral else None
    else:
        weights = row_weights(backend, read, weight, ignore_index, n)
        kept = kept_share(read, ignore_index, n)
    return Problem(
        backend, x, read, mask, smoothing, weights, kept, reduction, axis, info, scores.dtype,
        elementwise, constant, elementwise and integral and smoothing == 0.0, entry_weights, matrix,
    )  # fmt: skip


def _check_matrices(
    backend: Any,
    scores: Array,
    target: Array,
    axis: int,
    weight: Array | None,
    ignore_index: int | None,
    smoothing: float,
) -> None:
    """Raise ValueError for what makes no sense where a target is a matrix."""
    if scores.ndim < 2 or axis != scores.ndim - 1:
        raise ValueError(
            "`axis` must be -1 where targets are matrices, which lie on the last two axes; "
            f"got axis={axis} with scores of shape {tuple(scores.shape)}"
        )
    if backend.namespace.isdtype(target.dtype, "integral"):
        raise ValueError(f"`target` must be dense matrices; got {dtype_name(target)}")
    if weight is not None or ignore_index is not None or smoothing > 0.0:
        raise ValueError(
            "`weight`, `ignore_index` and `label_smoothing` must be left out where targets are "
            f"matrices; got label_smoothing={smoothing:g}, ignore_index={ignore_index}"
        )


def is_plain(backend: Any) -> bool:
    """Whether the arrays of an adapter are not traced by the tape."""
    return getattr(backend, "base", None) is None


def differentiates(backend: Any) -> bool:
    """Whether a result may be differentiated: the textbook formula is needed beside the robust."""
    return backend.native_autodiff or not is_plain(backend)


def _arrays(*values: Any) -> tuple[Any, ...]:
    return tuple(value for value in values if hasattr(value, "dtype"))


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"`{name}` must be an integer; got {value!r}")
    return int(value.__index__())


def _rows(
    backend: Any, scores: Array, where: Array | None, axis: int, info: FloatInfo
) -> tuple[Array, Array | None]:
    xp = backend.namespace
    mask = None if where is None else check_mask(backend, where, scores, axis)
    return axis_last(xp, widen(xp, scores, info), axis), mask


def _entries(
    backend: Any, scores: Array, where: Array | None, info: FloatInfo
) -> tuple[Array, Array | None]:
    """Return scores and mask as rows of one entry each."""
    xp = backend.namespace
    x = xp.expand_dims(widen(xp, scores, info), axis=-1)
    if where is None:
        return x, None
    mask = check_mask(backend, where, scores, scores.ndim - 1)
    return x, xp.expand_dims(mask, axis=-1)


def _read(
    backend: Any,
    target: Array,
    scores: Array,
    x: Array,
    axis: int,
    info: FloatInfo,
    ignore_index: int | None,
    elementwise: bool,
    labels: bool,
) -> Target:
    """Read class indices, or a dense target."""
    xp = backend.namespace
    integral = xp.isdtype(target.dtype, "integral")
    if integral and not (elementwise or labels):
        shape = tuple(scores.shape[:axis]) + tuple(scores.shape[axis + 1 :])
        return read_index(backend, target, shape, ignore_index, x)
    dense = read_dense(backend, target, scores, axis, info, labels=elementwise or labels)
    if not elementwise:
        return Target(None, dense)
    dense = xp.expand_dims(dense, axis=-1)
    if ignore_index is None:
        return Target(None, dense)
    ignored = backend.stop_gradient(dense) == float(ignore_index)
    return Target(None, xp.where(ignored, xp.zeros_like(dense), dense), ignored)


def _label_weights(labels: Array, weight: Array) -> Array:
    """Return the weight of each entry: that of class 1 to the extent that it is one."""
    return labels * weight[1] + (1.0 - labels) * weight[0]
