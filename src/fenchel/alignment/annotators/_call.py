"""How functions of users are called: with the instruction, if they want to know it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["with_instruction"]


def with_instruction(function: Callable[..., Any], instruction: str | None) -> Callable[..., Any]:
    """Return a function that is given `instruction=` where it has such a parameter."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some built-in functions have no signature
        return function
    if "instruction" not in parameters:
        return function
    return lambda *arguments: function(*arguments, instruction=instruction)
