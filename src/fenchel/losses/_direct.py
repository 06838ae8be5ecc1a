"""The short way: class indices on the last axis and no options, where the adapter has a kernel.

Whatever is out of the ordinary, and a NaN, which may mean a class that is out of range, is left to
the long way, with its checks and their messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import backend_of
from ._reduction import size_of

__all__ = ["Direct", "direct", "is_plain_call"]

Array = Any
Kernel = tuple[str, tuple[float, ...]]


class Direct(NamedTuple):
    """Kernel of a loss on class indices, with its arguments.

    Attributes
    ----------
    arguments
        Name of the kernel, its parameters, scores, target, what a sum of rows is divided by, and
        whether rows are summed.
    value
        `value(*arguments, formula)`: the loss, differentiable.
    both
        `both(*arguments)`: the loss and its gradient, constants.
    """

    arguments: tuple[Any, ...]
    value: Callable[..., Array | None]
    both: Callable[..., tuple[Array, Array] | None]


def is_plain_call(
    where: Any, weight: Any, ignore_index: Any, label_smoothing: Any, target_term: Any
) -> bool:
    """Whether a loss is asked for without options."""
    return (
        where is None
        and weight is None
        and ignore_index is None
        and target_term is True
        and type(label_smoothing) is float
        and label_smoothing == 0.0
    )


def direct(
    kernel: Kernel | None, scores: Array, target: Array, axis: Any, reduction: Any
) -> Direct | None:
    """Return the kernel for plain scores (..., n) and indices (...), None for anything else."""
    if kernel is None or type(target) is not type(scores):
        return None
    backend: Any = backend_of(scores)
    both = getattr(backend, "class_loss", None)
    if both is None:
        return None
    shape = scores.shape
    ndim = len(shape)
    if type(axis) is not int or ndim == 0 or (axis != -1 and axis != ndim - 1):
        return None
    batch = shape[:-1]
    if target.shape != batch or shape[-1] == 0:
        return None
    if reduction == "mean":
        divisor, summed = max(size_of(target), 1), True
    elif reduction == "sum" or reduction == "none":
        divisor, summed = 1, reduction == "sum"
    else:
        return None
    name = f"loss_{kernel[0]}_index"
    arguments = (name, kernel[1], scores, target, divisor, summed)
    return Direct(arguments, backend.class_loss_value, both)
