"""All rules by the name of the function in the array API (`linalg.` and `fft.` prefixed)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    constants,
    creation,
    decompositions,
    elementwise,
    fourier,
    indexing,
    linalg,
    manipulation,
    norms,
    reductions,
    sorting,
)
from .rules import Rule

__all__ = ["EXTENSIONS", "EXTRAS", "find_rule"]

EXTENSIONS = ("linalg", "fft")

_RULES: dict[str, Rule] = {
    **constants.RULES,
    **creation.RULES,
    **elementwise.RULES,
    **reductions.RULES,
    **manipulation.RULES,
    **indexing.RULES,
    **sorting.RULES,
    **linalg.RULES,
    **norms.RULES,
    **decompositions.RULES,
    **fourier.RULES,
}

# Operations that rules need and no library has under one name: each is made for a plain namespace.
EXTRAS: dict[str, Callable[[Any], Callable[..., Any]]] = {**indexing.EXTRAS}


def find_rule(name: str) -> Rule | None:
    """Return the rule of a function, None for what is no function of arrays."""
    return _RULES.get(name)
