"""What a routing did to the load of the experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..backend import Array, backend_of

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["RoutingStats", "routing_stats"]


class RoutingStats(NamedTuple):
    """Diagnostics of a routing, a value a group; masked tokens are in none of them."""

    demand: Array  # (..., m) int32: assignments each expert was asked for
    load: Array  # (..., m) int32: assignments each expert got
    dropped: Array  # (...,) int32: assignments that found no place
    unrouted: Array  # (...,) int32: tokens that sit nowhere
    entropy: Array  # (...,) mean entropy of the softmax of a token


def routing_stats(routing: Routing) -> RoutingStats:
    """Return the diagnostics of a routing."""
    backend = backend_of(routing.weight, routing.probabilities)
    xp = backend.namespace
    n = routing.n_tokens
    filled = routing.token_index < n
    load = xp.sum(xp.astype(filled, xp.int32), axis=-1, dtype=xp.int32)
    dropped = xp.sum(routing.demand - load, axis=-1, dtype=xp.int32)
    *groups, m, rows = routing.token_index.shape
    flat = xp.reshape(routing.token_index, (*groups, m * rows))
    ones = xp.ones_like(flat, dtype=xp.float32)
    seats = backend.segment_sum(ones, flat, n + 1)[..., :-1]
    alone = routing.routed & (seats == 0)
    unrouted = xp.sum(xp.astype(alone, xp.int32), axis=-1, dtype=xp.int32)
    p = routing.probabilities
    positive = p > 0
    logs = xp.log(xp.where(positive, p, xp.ones_like(p)))
    count = xp.sum(xp.astype(routing.routed, p.dtype), axis=-1)
    total = xp.sum(xp.multiply(p, logs), axis=(-2, -1))
    entropy = xp.divide(0.0 - total, xp.where(count > 0, count, xp.ones_like(count)))
    return RoutingStats(routing.demand, load, dropped, unrouted, entropy)
