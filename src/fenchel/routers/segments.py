"""The dropless form: assignments sorted by expert, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backend import Array
from ..trees import register_dataclass

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["Segments", "segments_of"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Segments:
    """Assignments sorted by expert: those of expert e are offsets[e], ..., offsets[e + 1] - 1."""

    token_index: Array
    weight: Array
    offsets: Array


def segments_of(routing: Routing) -> Segments:
    """Return the kept assignments sorted by expert."""
    raise ValueError("to come")
