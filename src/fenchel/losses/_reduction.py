"""Weights of rows, and what is done with the losses of the rows."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype
from ..parameters import check_array, known_to
from ._targets import Target

__all__ = ["REDUCTIONS", "class_weights", "denominator", "kept_share", "row_weights", "weighed"]

Array = Any

REDUCTIONS = ("mean", "sum", "none")


def class_weights(backend: Any, weight: Array, n: int, dtype: Any) -> Array:
    """Return the class weights in the dtype that is computed in.

    Raises
    ------
    TypeError
        If `weight` is no floating array of the library of the scores.
    ValueError
        If its shape is not (n,).
    """
    check_array("weight", weight, backend)
    check_dtype("weight", weight)
    if tuple(weight.shape) != (n,):
        raise ValueError(f"`weight` must have the shape ({n},); got {tuple(weight.shape)}")
    weight = known_to(backend, weight)
    return weight if weight.dtype == dtype else backend.namespace.astype(weight, dtype)


def row_weights(
    backend: Any, target: Target, weight: Array | None, ignore_index: int | None, n: int
) -> Array | None:
    """Return the weight of each row, (..., 1): None where all rows count alike.

    A row of class k weighs ``weight[k]``, a dense one the mean of `weight` under its target; of a
    dense target the part on the class `ignore_index` does not count.
    """
    xp = backend.namespace
    if target.classes is not None:
        if weight is None:
            return None
        chosen = xp.take(weight, xp.reshape(target.classes, (-1,)))
        return xp.reshape(chosen, target.classes.shape)
    if weight is not None:
        counted = weight
        if ignore_index is not None and 0 <= ignore_index < n:
            places = xp.arange(n, device=backend.device_of(weight))
            counted = xp.where(places == ignore_index, xp.zeros_like(weight), weight)
        return xp.sum(xp.multiply(target.dense, counted), axis=-1, keepdims=True)
    return kept_share(target, ignore_index, n)


def kept_share(target: Target, ignore_index: int | None, n: int) -> Array | None:
    """Return the part (..., 1) of a dense target that is not ignored, None if it is all of it."""
    if target.dense is None or ignore_index is None or not 0 <= ignore_index < n:
        return None
    return 1.0 - target.dense[..., ignore_index : ignore_index + 1]


def weighed(backend: Any, losses: Array, target: Target, weights: Array | None) -> Array:
    """Return losses (..., 1), or gradients (..., n), times the weights of their rows.

    Rows that are ignored or weigh nothing are 0, whatever they hold; those whose class is out of
    range are NaN.
    """
    xp = backend.namespace
    if target.invalid is not None:
        losses = xp.where(target.invalid, xp.full_like(losses, float("nan")), losses)
    if target.ignored is not None:
        losses = xp.where(target.ignored, xp.zeros_like(losses), losses)
    if weights is not None:
        nothing = backend.stop_gradient(weights) == 0
        losses = xp.where(nothing, xp.zeros_like(losses), losses) * weights
    return losses


def denominator(
    backend: Any, losses: Array, target: Target, weights: Array | None, kept: Array | None
) -> Any:
    """Return what a mean divides by: the weights of the classes, or the number of dense rows."""
    xp = backend.namespace
    counted = kept if target.dense is not None else weights
    if counted is None:
        if target.ignored is None:
            return size_of(losses)
        counted = xp.ones_like(losses)
    if target.ignored is not None:
        counted = xp.where(target.ignored, xp.zeros_like(counted), counted)
    return xp.sum(counted, dtype=losses.dtype)


def size_of(x: Array) -> int:
    """Return the number of entries."""
    size = 1
    for length in x.shape:
        size *= length
    return size
