"""The few entries of long rows that can lie in the support of a sparse argmax."""

from __future__ import annotations

from typing import Any

__all__ = ["candidates", "marked_places"]

Array = Any

_LONG = 512  # shorter rows are not worth the search


def candidates(backend: Any, x: Array, floor: Array) -> Array:
    """Return rows that hold every entry of `x` above `floor` (..., 1), and -inf beside them.

    The result has as many columns as the fullest row needs, so that values must be known: for
    libraries that differentiate and compile by themselves the rows are returned as they are, and
    also where more than half of a row is left.
    """
    xp, n = backend.namespace, x.shape[-1]
    if backend.native_autodiff or n < _LONG or 0 in x.shape:
        return x
    found = marked_places(backend, x > floor, n // 2)
    if found is None:
        return x
    places, inside = found
    left = xp.take_along_axis(x, places, axis=-1)
    return xp.where(inside, left, xp.full_like(left, float("-inf")))


def marked_places(backend: Any, marks: Array, most: int) -> tuple[Array, Array] | None:
    """Return the columns of the marked entries of each row, in order, and which of them are some.

    Both are (..., k), k that of the fullest row, 1 at least; None if that is more than `most`.
    Nothing is sorted: one pass lists the marks, and the rows are cut out of the list.
    """
    xp, n = backend.namespace, marks.shape[-1]
    batch, device = marks.shape[:-1], backend.device_of(marks)
    flat = xp.nonzero(xp.reshape(marks, (-1,)))[0]
    rows = 1
    for length in batch:
        rows *= length
    if flat.shape[0] > rows * most:
        return None
    starts = xp.arange(rows + 1, dtype=flat.dtype, device=device) * n
    cuts = xp.searchsorted(flat, starts)
    first, last = xp.expand_dims(cuts[:-1], axis=-1), xp.expand_dims(cuts[1:], axis=-1)
    width = max(1, int(xp.max(last - first)))
    if width > most:
        return None
    numbers = first + xp.arange(width, dtype=first.dtype, device=device)
    inside = numbers < last
    if flat.shape[0] == 0:
        return xp.zeros((*batch, 1), dtype=flat.dtype, device=device), xp.reshape(
            inside, (*batch, 1)
        )
    numbers = xp.where(inside, numbers, xp.zeros_like(numbers))
    columns = xp.reshape(xp.take(flat, xp.reshape(numbers, (-1,))), inside.shape)
    columns = xp.where(
        inside, columns - xp.expand_dims(starts[:-1], axis=-1), xp.zeros_like(columns)
    )
    shape = (*batch, width)
    return xp.reshape(columns, shape), xp.reshape(inside, shape)
