"""The few entries of long rows that can lie in the support of a sparse argmax."""

from __future__ import annotations

from typing import Any

__all__ = ["candidates"]

Array = Any

_CHUNK = 16


def candidates(backend: Any, x: Array, floor: Array) -> Array:
    """Return rows that hold every entry of `x` above `floor` (..., 1), and fewer others.

    Chunks of a row whose maximum is not above its floor are left out; what is left is sorted and
    cut. The result has as many columns as the fullest row needs, so that values must be known: for
    libraries that differentiate and compile by themselves the rows are returned as they are.
    """
    n, rows = x.shape[-1], 1
    for length in x.shape[:-1]:
        rows *= length
    if backend.native_autodiff or n < 32 * _CHUNK or rows == 0:
        return x
    xp = backend.namespace
    short = -n % _CHUNK
    if short:
        padding = xp.full_like(x[..., :short], float("-inf"))
        x = xp.concat([x, padding], axis=-1)
    chunks = xp.reshape(x, (*x.shape[:-1], -1, _CHUNK))
    active = xp.astype(xp.max(chunks, axis=-1) > floor, xp.int32)
    kept = _fullest(xp, active)
    if 2 * kept * _CHUNK > n:
        return _sorted(xp, x, floor)
    places = xp.argsort(active, axis=-1, descending=True)[..., :kept]
    places = xp.broadcast_to(xp.expand_dims(places, axis=-1), (*places.shape, _CHUNK))
    left = xp.take_along_axis(chunks, places, axis=-2)
    left = xp.reshape(left, (*x.shape[:-1], kept * _CHUNK))
    return _sorted(xp, left, floor)


def _sorted(xp: Any, x: Array, floor: Array) -> Array:
    """Sort rows and cut them, if that leaves less than half."""
    width = _fullest(xp, xp.astype(x > floor, xp.int32))
    return x if 2 * width > x.shape[-1] else xp.sort(x, axis=-1, descending=True)[..., :width]


def _fullest(xp: Any, marks: Array) -> int:
    """Largest number of marks in a row, 1 at least."""
    return max(1, int(xp.max(xp.sum(marks, axis=-1))))
