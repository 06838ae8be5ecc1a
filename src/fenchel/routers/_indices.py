"""Gathering by int32 indices."""

from __future__ import annotations

from typing import Any

from ..backend import Array

__all__ = ["as_index", "gather_last"]


def as_index(xp: Any, index: Array) -> Array:
    """Return `index` in the dtype that the library indexes with."""
    return xp.astype(index, xp.arange(0).dtype)


def gather_last(xp: Any, x: Array, index: Array) -> Array:
    """Return the entries of x (..., n) at `index` (..., s)."""
    return xp.take_along_axis(x, as_index(xp, index), axis=-1)
