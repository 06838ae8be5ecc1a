"""What every kind of rule has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Rule"]


class Rule:
    """What the tape knows of one operation."""

    name = ""

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the operation for traced arrays of `space`; `fn` acts on plain ones."""
        raise TypeError(f"rule {self.name!r} of kind {type(self).__name__} cannot be bound")
