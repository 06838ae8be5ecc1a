r"""The best assignment of n tokens to m experts that get n / m each, rounded down or up.

It is a flow of least cost, tokens being sent one after the other. A new token enters some expert;
an expert with one token too many keeps it where it has room, passes on the token that another
expert takes at the least cost, or, all extra places being given out, takes over the extra place of
an expert, which then has one too many. The cheapest chain is found by Bellman and Ford's algorithm
on the experts. The sums are exact up to rounding, and so is the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array, Backend

__all__ = ["balanced_owners"]

_INF = float("inf")
# Rounding alone must not close a chain into a circle.
_SLACK = 16.0


class _Flow(NamedTuple):
    """The problem, and where tokens are."""

    table: Array  # (..., n, m)
    owner: Array  # (..., n): the expert of a token, m before it is sent
    load: Array  # (..., m)
    floor: Array  # (..., 1)
    extra: Array  # (..., 1): how many experts may have one token more


class _Chains(NamedTuple):
    """The cheapest chain to each expert; what arrives there, and from where."""

    cost: Array  # (..., m)
    token: Array  # (..., m): the token that comes, n for an extra place, n + 1 for the new token
    source: Array  # (..., m)


def balanced_owners(backend: Backend, scores: Array, tokens: Array) -> tuple[Array]:
    """Reference kernel: the expert of each token as a floating number, m for tokens left out.

    `scores` are flat matrices (..., n m) without infinities; `tokens` (..., n) is 1 for those that
    take part, else 0.
    """
    xp = backend.namespace
    n = tokens.shape[-1]
    m = scores.shape[-1] // n
    table = xp.reshape(scores, (*tokens.shape, m))
    index = xp.arange(n, dtype=xp.int32, device=backend.device_of(tokens))
    taking_part = tokens > 0
    count = xp.sum(xp.astype(taking_part, xp.int32), axis=-1, keepdims=True, dtype=xp.int32)
    floor = count // m
    owner = xp.full_like(tokens, m, dtype=xp.int32)
    load = xp.zeros_like(table[..., 0, :], dtype=xp.int32)

    def send(t: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        new = (index == t) & taking_part
        return _send(backend, _Flow(table, *state, floor, count - floor * m), new)

    owner, _ = backend.fori_loop(0, n, send, (owner, load))
    return (xp.astype(owner, scores.dtype),)


def _send(backend: Backend, flow: _Flow, new: Array) -> tuple[Array, Array]:
    """Send a token (one-hot, or none) along its cheapest chain; return owners and loads."""
    xp = backend.namespace
    chains = _cheapest(backend, flow, new)
    over = flow.load > flow.floor
    open_ = (flow.load < flow.floor) | (_room(xp, flow) & ~over)
    reach = xp.where(open_, chains.cost, xp.full_like(chains.cost, _INF))
    end = xp.astype(xp.argmin(reach, axis=-1, keepdims=True), xp.int32)
    moved = _walk_back(backend, flow, chains, new, end)
    owner = xp.where(xp.any(new, axis=-1, keepdims=True), moved, flow.owner)
    experts = xp.arange(flow.load.shape[-1], dtype=xp.int32, device=backend.device_of(owner))
    held = xp.astype(owner[..., None] == experts, xp.int32)
    return owner, xp.sum(held, axis=-2, dtype=xp.int32)


def _room(xp: Any, flow: _Flow) -> Array:
    """Whether extra places are left, (..., 1)."""
    over = xp.astype(flow.load > flow.floor, xp.int32)
    return xp.sum(over, axis=-1, keepdims=True, dtype=xp.int32) < flow.extra


def _cheapest(backend: Backend, flow: _Flow, new: Array) -> _Chains:
    """Return the cheapest chains from the new token, by relaxing all links until none is better."""
    xp = backend.namespace
    table = flow.table
    *_, n, m = table.shape
    entering = -xp.sum(xp.where(new[..., None], table, xp.zeros_like(table)), axis=-2)
    number = xp.full_like(flow.load, n + 1)
    chains = _Chains(entering, number, xp.full_like(flow.load, m))
    zero = xp.zeros((), dtype=xp.int32, device=backend.device_of(table))

    def going(carry: tuple[Array, ...]) -> Array:
        return (carry[0] < m) & xp.any(carry[1])

    def relax(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        before = _Chains(*carry[2:])
        after = _take_over(backend, flow, _pass_on(backend, flow, before))
        return (carry[0] + 1, after.cost < before.cost, *after)

    found = backend.while_loop(going, relax, (zero, entering == entering, *chains))
    return _Chains(*found[2:])


def _pass_on(backend: Backend, flow: _Flow, chains: _Chains) -> _Chains:
    """Lengthen chains by the token that its expert passes on at the least cost."""
    xp = backend.namespace
    sent = flow.owner < flow.table.shape[-1]
    at = xp.where(sent, flow.owner, xp.zeros_like(flow.owner))
    own = _at(xp, flow.table, at[..., None])
    cost = _at(xp, chains.cost, at)[..., None] + own - flow.table
    cost = xp.where(sent[..., None], cost, xp.full_like(cost, _INF))
    token = xp.astype(xp.argmin(cost, axis=-2), xp.int32)
    return _better(xp, chains, _Chains(xp.min(cost, axis=-2), token, _at(xp, at, token)))


def _take_over(backend: Backend, flow: _Flow, chains: _Chains) -> _Chains:
    """Lengthen chains by an extra place that an expert at its floor takes from another."""
    xp = backend.namespace
    full = (flow.load == flow.floor) & ~_room(xp, flow)
    ending = xp.where(full, chains.cost, xp.full_like(chains.cost, _INF))
    source = xp.astype(xp.argmin(ending, axis=-1, keepdims=True), xp.int32)
    cost = xp.min(ending, axis=-1, keepdims=True)
    over = flow.load > flow.floor
    cost = xp.where(over, cost, xp.full_like(chains.cost, _INF))
    place = xp.full_like(chains.token, flow.table.shape[-2])
    return _better(xp, chains, _Chains(cost, place, xp.zeros_like(chains.source) + source))


def _better(xp: Any, chains: _Chains, others: _Chains) -> _Chains:
    """Return the cheaper of two chains to each expert, the first unless the gain is real."""
    least = chains.cost - _SLACK * xp.finfo(chains.cost.dtype).eps * (1 + xp.abs(chains.cost))
    better = others.cost < least
    return _Chains(*(xp.where(better, a, b) for a, b in zip(others, chains, strict=True)))


def _walk_back(backend: Backend, flow: _Flow, chains: _Chains, new: Array, end: Array) -> Array:
    """Return the owners after one token has moved along each link of the chain to `end`."""
    xp = backend.namespace
    *_, n, m = flow.table.shape
    index = xp.arange(n, dtype=xp.int32, device=backend.device_of(end))

    def link(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        owner, here = carry
        walking = here < m
        place = xp.where(walking, here, xp.zeros_like(here))
        token = _at(xp, chains.token, place)
        comes = xp.where(token == n + 1, new, index == token)
        owner = xp.where(comes & walking, place, owner)
        source = _at(xp, chains.source, place)
        return owner, xp.where(walking, source, here)

    owner, _ = backend.fori_loop(0, m + 1, link, (flow.owner, end))
    return owner


def _at(xp: Any, x: Array, place: Array) -> Array:
    """Return the entries of x along the last axis at `place`."""
    return xp.take_along_axis(x, xp.astype(place, xp.arange(0).dtype), axis=-1)
