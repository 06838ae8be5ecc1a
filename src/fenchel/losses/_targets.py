"""Targets of a loss: class indices or dense rows, smoothed, with what ignored rows need."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import axis_last, check_dtype, dtype_name, widen
from ..parameters import check_array, known_to

__all__ = ["Target", "index_dtype", "read_dense", "read_index", "smoothed"]

Array = Any


class Target(NamedTuple):
    """A target beside prepared scores (..., n): one of `classes` and `dense` is there.

    Attributes
    ----------
    classes
        Class of each row, (..., 1), 0 where the row is ignored.
    dense
        Target entries, (..., n), in the dtype that is computed in.
    ignored
        Rows that do not count, (..., 1) boolean; None if there are none by construction.
    invalid
        Rows whose index is out of range, found while the values cannot be looked at; their loss
        is NaN.
    """

    classes: Array | None
    dense: Array | None
    ignored: Array | None = None
    invalid: Array | None = None


def index_dtype(backend: Any, x: Array) -> Any:
    """Return the integer dtype that the library indexes with."""
    return backend.namespace.arange(1, device=backend.device_of(x)).dtype


def read_index(
    backend: Any, target: Array, shape: tuple[int, ...], ignore_index: int | None, x: Array
) -> Target:
    """Check class indices against scores `x` (..., n) of batch `shape`.

    Raises
    ------
    ValueError
        If the shape is not that of the batch, or an index that is not ignored is out of range.
    """
    xp, n = backend.namespace, x.shape[-1]
    if tuple(target.shape) != shape:
        raise ValueError(
            f"`target` must have the shape {shape} of `scores` without `axis` (class indices), "
            f"or be floating and shaped like `scores`; got integers of shape {tuple(target.shape)}"
        )
    index = xp.expand_dims(xp.astype(target, index_dtype(backend, x)), axis=-1)
    outside = (index < 0) | (index >= n)
    ignored = None
    if ignore_index is not None:
        ignored = index == ignore_index
        outside = outside & ~ignored
    invalid = None
    if backend.is_traced(outside):  # known targets too: inside jit everything computed is traced
        invalid = outside
    elif bool(xp.any(outside)):
        wanted = "" if ignore_index is None else f" or be ignore_index={ignore_index}"
        raise ValueError(
            f"`target` must be in [0, {n}){wanted}; got values in "
            f"[{int(xp.min(index))}, {int(xp.max(index))}]"
        )
    if ignored is not None or invalid is not None:
        index = xp.where(outside if ignored is None else ignored | outside, index * 0, index)
    return Target(index, None, ignored, invalid)


def read_dense(
    backend: Any, target: Array, scores: Array, axis: int, info: Any, *, labels: bool = False
) -> Array:
    """Check a dense target shaped like `scores`; return it with `axis` at the end, if it has one.

    `labels` allows integers and booleans: labels of entries.

    Raises
    ------
    TypeError
        If it is not floating.
    ValueError
        If its shape is not that of `scores`.
    """
    xp = backend.namespace
    if tuple(target.shape) != tuple(scores.shape):
        raise ValueError(
            f"`target` must have the shape {tuple(scores.shape)} of `scores`; "
            f"got {tuple(target.shape)}"
        )
    wanted = xp.float32 if info.half else scores.dtype
    if labels and xp.isdtype(target.dtype, ("bool", "integral")):
        target = xp.astype(target, wanted)
    else:
        kind = check_dtype("target", target)
        target = widen(xp, target, kind)
        target = target if target.dtype == wanted else xp.astype(target, wanted)
    return target if axis == target.ndim else axis_last(xp, target, axis)


def known_target(backend: Any, target: Array) -> Array:
    """Return the target as an array that may stand beside traced ones.

    Raises
    ------
    TypeError
        If it is no array of the library of the scores, or of a complex dtype.
    """
    check_array("target", target, backend)
    if backend.namespace.isdtype(target.dtype, "complex floating"):
        raise TypeError(f"`target` must be integer or real floating; got {dtype_name(target)}")
    return known_to(backend, target)


def smoothed(backend: Any, target: Target, x: Array, smoothing: float) -> Array:
    """Return dense target rows: smoothed uniformly over the entries of `x` above -inf.

    From indices this is one selection between two numbers, without a one-hot array.
    """
    xp = backend.namespace
    valid = backend.stop_gradient(x) > float("-inf")
    share: Any = 0.0
    if smoothing > 0.0:
        count = xp.sum(xp.astype(valid, x.dtype), axis=-1, keepdims=True)
        share = smoothing / xp.where(count > 0, count, xp.ones_like(count))
    if target.classes is None:
        dense: Any = target.dense
        if smoothing == 0.0:
            return dense
        floor = xp.where(valid, share + xp.zeros_like(x), xp.zeros_like(x))
        return (1.0 - smoothing) * dense + floor
    places = xp.arange(x.shape[-1], device=backend.device_of(x), dtype=target.classes.dtype)
    hit = places == target.classes
    # Constants: a one-hot row does not depend on the scores.
    low = xp.where(valid, xp.zeros_like(x) + share, xp.zeros_like(x))
    return backend.stop_gradient(xp.where(hit, low + (1.0 - smoothing), low))
