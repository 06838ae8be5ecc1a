"""Dropless buffers cut down to the rows that are used.

Without a capacity a buffer has a row for every token, and most stay empty. Where values can be
looked at, the busiest expert tells how many rows do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..backend import backend_of
from .routing import Routing

__all__ = ["rows_in_use", "with_rows"]

# Numbers of rows are rounded up so that there are few different shapes.
_SHAPES = 16


def rows_in_use(routing: Any) -> int | None:
    """Return how many rows of its buffers a routing needs; None where nothing can be spared.

    That is under tracers, which know no values, for buffers with less than n rows, and for routers
    that fill them all: expert choice and soft routing.
    """
    if not isinstance(routing, Routing) or routing.choice_index is None:
        return None
    if not 0 < routing.n_tokens <= routing.capacity:
        return None
    backend = backend_of(routing.demand)
    if backend.is_traced(routing.demand):
        return None
    most = int(backend.namespace.max(routing.demand)) if 0 not in routing.demand.shape else 1
    step = -(-routing.n_tokens // _SHAPES)
    return min(-(-max(most, 1) // step) * step, routing.capacity)


def with_rows(routing: Routing, rows: int) -> Routing:
    """Return the routing with so many rows a buffer; those beyond must be empty."""
    return replace(
        routing,
        capacity=rows,
        token_index=routing.token_index[..., :rows],
        choice_index=None if routing.choice_index is None else routing.choice_index[..., :rows],
    )
