"""The two maps of a routing, each from the other's side: rows of a token, weights of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backend import Array, Backend
from ..kernels import linear_map
from ..parameters import known_to
from ._indices import gather_last
from ._problem import constant
from .buffers import fill_buffers

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["row_weights", "rows_of_tokens", "take_back", "take_or_zero", "token_places"]


def token_places(backend: Backend, routing: Routing) -> Array:
    """Return the flat buffer rows that each token sits in, (..., n, q); m C stands for none.

    For expert choice q is m, and rows come first.
    """
    xp = backend.namespace
    rows = routing.n_experts * routing.capacity
    if routing.expert_index is None or routing.slot is None:
        return rows_of_tokens(backend, routing.token_index, routing.n_tokens, routing.n_experts)
    flat = routing.expert_index * routing.capacity + routing.slot
    return xp.where(routing.slot >= 0, flat, xp.full_like(flat, rows))


def rows_of_tokens(backend: Backend, token_index: Array, n_tokens: int, most: int) -> Array:
    """Return the flat rows of token_index (..., a, b) with each token, (..., n, most): the inverse.

    The number of rows stands for none. It is buffer filling with tokens in the place of experts.
    """
    plain = getattr(backend, "base", None) or backend
    token_index = constant(backend, token_index)
    *groups, a, b = token_index.shape
    flat = plain.namespace.reshape(token_index, (*groups, a * b))
    return fill_buffers(plain, flat, n_tokens, most).assignment


def row_weights(backend: Backend, routing: Routing) -> Array:
    """Return the combine weight of each buffer row, of shape (..., m, C); 0 in empty ones."""
    xp = backend.namespace
    weight = known_to(backend, routing.weight)
    if routing.expert_index is None or routing.choice_index is None:
        return weight
    n, k = tuple(routing.expert_index.shape[-2:])
    shape = tuple(routing.token_index.shape)
    flat = xp.reshape(weight, (*shape[:-2], n * k))
    if n * k == 0 or routing.capacity == 0:  # sums of nothing, of which derivatives can be asked
        return xp.broadcast_to(xp.sum(flat, axis=-1)[..., None, None], shape)
    number = routing.token_index * k + routing.choice_index
    number = xp.where(routing.token_index < n, number, xp.full_like(number, n * k))
    number = xp.reshape(number, (*shape[:-2], shape[-2] * shape[-1]))
    places = xp.reshape(token_places(backend, routing), (*shape[:-2], n * k))
    found = linear_map(backend, take_or_zero, take_back, flat, number, places)
    return xp.reshape(found, shape)


def take_or_zero(backend: Backend, x: Array, number: Array, places: Array) -> Array:
    """Return the entries of x (..., N) at `number` (..., R), 0 where it is N."""
    xp = backend.namespace
    zero = xp.zeros((*x.shape[:-1], 1), dtype=x.dtype, device=backend.device_of(x))
    return gather_last(xp, xp.concat((x, zero), axis=-1), number)


def take_back(backend: Backend, g: Array, number: Array, places: Array) -> Array:
    """Transpose of `take_or_zero`: entries of g (..., R) at `places` (..., N), 0 where it is R."""
    return take_or_zero(backend, g, places, number)
