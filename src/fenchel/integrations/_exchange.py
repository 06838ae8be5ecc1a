"""Experts spread over processes or devices: buffers travel to their owners and back.

Each of p parts holds its own tokens, routed among all m experts, and m / p of the experts. Rows for
the experts of another part are sent there, answered, and sent back: two all-to-alls, each its own
transpose, so that derivatives travel the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.routers.mixture import Experts, apply_experts

__all__ = ["through_owners"]


def through_owners(
    x: Array, routing: Any, experts: Experts, parts: int, exchange: Callable[[Array], Array]
) -> Array:
    """Return the answers to the tokens of this part.

    `exchange` sends block i of an array (parts, ...) to part i, and returns the blocks received.
    """
    buffers = routing.dispatch(x)
    xp = namespace(buffers)
    *groups, m, rows, width = buffers.shape
    if m % parts != 0:
        raise ValueError(f"the number of experts must be a multiple of {parts}; got {m}")
    own, batch = m // parts, len(groups)
    count = rows
    for size in groups:
        count *= size
    by_expert = xp.permute_dims(buffers, (batch, *range(batch), batch + 1, batch + 2))
    received = exchange(xp.reshape(by_expert, (parts, own, count, width)))
    mine = xp.reshape(xp.permute_dims(received, (1, 0, 2, 3)), (own, parts * count, width))
    answers = apply_experts(experts, mine)
    width = answers.shape[-1]
    blocks = xp.permute_dims(xp.reshape(answers, (own, parts, count, width)), (1, 0, 2, 3))
    returned = xp.reshape(exchange(blocks), (m, *groups, rows, width))
    order = (*range(1, batch + 1), 0, batch + 1, batch + 2)
    return routing.combine(xp.permute_dims(returned, order))
