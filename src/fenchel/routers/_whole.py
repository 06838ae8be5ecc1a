"""Whole numbers among the arguments."""

from __future__ import annotations

from operator import index
from typing import Any

__all__ = ["whole_number"]


def whole_number(name: str, value: Any, *, minimum: int = 0, maximum: int | None = None) -> int:
    """Return `value` as an int, checked against its bounds.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"`{name}` must be an integer; got {type(value).__qualname__}")
    number = index(value)
    if number < minimum or (maximum is not None and number > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"in [{minimum}, {maximum}]"
        raise ValueError(f"`{name}` must be {bounds}; got {name}={number}")
    return number
