"""The dropless form: assignments sorted by expert, without padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backend import Array, Backend, backend_of
from ..kernels import linear_map
from ..parameters import known_to
from ..trees import register_dataclass
from ._indices import gather_last
from ._problem import constant
from .dispatch import check_tokens, gather_sums, spread
from .places import rows_of_tokens, take_back, take_or_zero

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["Segments", "segments_of"]


@register_dataclass(static=("n_tokens",))
@dataclass(frozen=True, eq=False)
class Segments:
    """Kept assignments sorted by expert: those of expert e are offsets[e] to offsets[e + 1].

    There are N rows, as many as there could be at most; those from offsets[m] on are empty.

    Parameters
    ----------
    token_index, expert_index
        Token and expert of each row, int32 of shape (..., N); n and m where it is empty.
    weight
        Combine weights, of shape (..., N); 0 where the row is empty.
    offsets
        Where each expert begins, and the end: int32 of shape (..., m + 1).
    places
        The rows of each token, int32 of shape (..., n, q); N stands for none.
    n_tokens
        The number n.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import route
    >>> logits = np.asarray([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    >>> segments = route(logits, k=1).segments()
    >>> segments.offsets.tolist(), segments.token_index.tolist()
    ([0, 2, 3], [0, 2, 1])
    >>> segments.dispatch(np.asarray([[1.0], [2.0], [3.0]])).tolist()
    [[1.0], [3.0], [2.0]]
    """

    token_index: Array
    expert_index: Array
    weight: Array
    offsets: Array
    places: Array
    n_tokens: int

    def dispatch(self, x: Array, /) -> Array:
        """Return the rows (..., N, d) of tokens (..., n, d), zeros where a row is empty.

        *Derivatives*: linear in `x`; nothing is scattered.
        """
        backend = backend_of(x, self.weight)
        check_tokens(x, (*self.token_index.shape[:-1], self.n_tokens))
        return spread(backend, x, *self._maps(backend))

    def combine(self, y: Array, /) -> Array:
        """Return for each token (..., n, d) the weighted sum of its rows of y (..., N, d).

        *Derivatives*: bilinear in `y` and `weight`; nothing is scattered.
        """
        backend = backend_of(y, self.weight)
        if tuple(y.shape[:-1]) != tuple(self.token_index.shape):
            wanted = tuple(self.token_index.shape)
            raise ValueError(f"`y` must have the shape {wanted} + (d,); got {tuple(y.shape)}")
        weight = known_to(backend, self.weight)
        return gather_sums(backend, known_to(backend, y), weight, *self._maps(backend))

    def _maps(self, backend: Backend) -> tuple[Array, Array]:
        return constant(backend, self.token_index), constant(backend, self.places)


def segments_of(routing: Routing) -> Segments:
    """Return the kept assignments sorted by expert."""
    backend = backend_of(routing.token_index)
    xp = backend.namespace
    shape = tuple(routing.token_index.shape)
    filled = xp.astype(routing.token_index < routing.n_tokens, xp.int32)
    ends = xp.cumulative_sum(
        xp.sum(filled, axis=-1, dtype=xp.int32), axis=-1, dtype=xp.int32, include_initial=True
    )
    expert, slot, token = _assignments(backend, routing)
    count = slot.shape[-1]
    kept = slot >= 0
    start = gather_last(xp, ends, xp.where(kept, expert, xp.zeros_like(expert)))
    place = xp.where(kept, start + slot, xp.full_like(slot, count))
    order = xp.astype(xp.argsort(place, axis=-1, stable=True), xp.int32)
    row = xp.arange(count, dtype=xp.int32, device=backend.device_of(order))
    empty = row >= ends[..., -1:]
    number = xp.where(empty, xp.full_like(order, count), order)
    in_order = gather_last(xp, token, order)
    token = xp.where(empty, xp.full_like(order, routing.n_tokens), in_order)
    owner = xp.where(empty, xp.full_like(order, shape[-2]), gather_last(xp, expert, order))
    if routing.expert_index is None:
        places = rows_of_tokens(backend, token[..., None, :], routing.n_tokens, shape[-2])
    else:
        places = xp.reshape(place, tuple(routing.expert_index.shape))
    live = backend_of(routing.weight)
    flat = live.namespace.reshape(routing.weight, (*shape[:-2], count))
    weight = linear_map(live, take_or_zero, take_back, flat, number, place)
    return Segments(token, owner, weight, ends, places, routing.n_tokens)


def _assignments(backend: Backend, routing: Routing) -> tuple[Array, Array, Array]:
    """Return expert, slot (-1 for none) and token of each entry of `weight`, flat."""
    xp = backend.namespace
    if routing.expert_index is None or routing.slot is None:
        shape = tuple(routing.token_index.shape)
        groups, (m, capacity) = shape[:-2], shape[-2:]
        device = backend.device_of(routing.token_index)
        number = xp.arange(m * capacity, dtype=xp.int32, device=device)
        token = xp.reshape(routing.token_index, (*groups, m * capacity))
        expert = xp.zeros_like(token) + number // max(capacity, 1)
        slot = xp.zeros_like(token) + number % max(capacity, 1)
        return expert, xp.where(token < routing.n_tokens, slot, xp.full_like(slot, -1)), token
    shape = tuple(routing.expert_index.shape)
    groups, (n, k) = shape[:-2], shape[-2:]
    flat = (*groups, n * k)
    expert, slot = xp.reshape(routing.expert_index, flat), xp.reshape(routing.slot, flat)
    number = xp.arange(n * k, dtype=xp.int32, device=backend.device_of(expert))
    return expert, slot, xp.zeros_like(expert) + number // max(k, 1)
