"""Sorting and sets: a constant permutation, then a gather."""

from __future__ import annotations

from typing import Any

from .fitting import like_tuple
from .rules import Composite, Rule
from .traced import Array, strip

__all__ = ["RULES"]


def _sort(
    xp: Any, x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Array:
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(x, order, axis=axis)


def _unique_values(xp: Any, x: Array, /) -> Array:
    """The first occurrence of each value passes the derivative on."""
    first = xp.base.unique_all(strip(x)).indices
    return xp.take(xp.reshape(x, (-1,)), first, axis=0)


def _with_live_values(name: str) -> Any:
    def unique(xp: Any, x: Array, /) -> Any:
        found = getattr(xp.base, name)(strip(x))
        return like_tuple(found, (_unique_values(xp, x), *tuple(found)[1:]))

    return unique


RULES: dict[str, Rule] = {
    "sort": Composite(_sort),
    "unique_values": Composite(_unique_values),
    **{
        name: Composite(_with_live_values(name))
        for name in ("unique_all", "unique_counts", "unique_inverse")
    },
}
