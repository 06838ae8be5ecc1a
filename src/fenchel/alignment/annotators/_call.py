"""How functions of users are called: with the instruction if they want it, for numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["check_callable", "number_from", "with_instruction"]


def check_callable(name: str, function: Any) -> None:
    """Raise TypeError unless it is a function."""
    if not callable(function):
        raise TypeError(f"`{name}` must be callable; got {type(function).__qualname__}")


def with_instruction(function: Callable[..., Any], instruction: str | None) -> Callable[..., Any]:
    """Return a function that is given `instruction=` where it has such a parameter."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some built-in functions have no signature
        return function
    if "instruction" not in parameters:
        return function
    return lambda *arguments: function(*arguments, instruction=instruction)


def number_from(name: str, function: Callable[..., Any], *arguments: Any) -> float:
    """Return the number that a function gives.

    Raises
    ------
    TypeError
        If it gives something else.
    """
    found = function(*arguments)
    if not isinstance(found, str):
        try:
            return float(found)
        except (TypeError, ValueError):
            pass
    raise TypeError(f"`{name}` must return a number; got {type(found).__qualname__}")
