"""What the formulas share."""

from __future__ import annotations

from typing import Any

from ...backend import namespace

__all__ = ["weighted"]

Array = Any


def weighted(weight: Any, value: Array) -> Array:
    """Return weight times value, where nothing of an infinite value is nothing.

    The weight, a number or an array, is differentiated at 0 too wherever the value is finite.
    """
    xp = namespace(value, weight)
    if isinstance(weight, float):
        return weight * value if weight != 0.0 else xp.zeros_like(value)
    gone = (weight == 0) & (xp.abs(value) == float("inf"))
    return xp.multiply(weight, xp.where(gone, xp.zeros_like(value), value))
