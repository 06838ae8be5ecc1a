"""The dense tensors of a routing, as a view for small sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backend import Array, backend_of

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["dense_tensors"]


def dense_tensors(routing: Routing) -> tuple[Array, Array]:
    """Return dispatch (0/1) and combine (weights) of shape (..., n, m, C)."""
    backend = backend_of(routing.weight)
    xp = backend.namespace
    tokens = xp.arange(
        routing.n_tokens, dtype=xp.int32, device=backend.device_of(routing.token_index)
    )
    sits = routing.token_index[..., None, :, :] == tokens[:, None, None]
    dispatch = xp.astype(sits, routing.weight.dtype)
    return dispatch, xp.multiply(dispatch, row_weights(routing)[..., None, :, :])


def row_weights(routing: Routing) -> Array:
    """Return the combine weight of each buffer row, of shape (..., m, C); 0 in empty ones."""
    weight = routing.weight
    if routing.expert_index is None or routing.choice_index is None:
        return weight
    backend = backend_of(weight)
    xp = backend.namespace
    n, k = routing.n_tokens, routing.expert_index.shape[-1]
    shape = routing.token_index.shape
    empty = routing.token_index == n
    if n * k == 0:
        return xp.zeros(shape, dtype=weight.dtype)
    place = routing.token_index * k + routing.choice_index
    place = xp.astype(xp.where(empty, xp.zeros_like(place), place), xp.int64)
    groups = tuple(shape[:-2])
    flat = xp.reshape(weight, (*groups, n * k))
    found = xp.take_along_axis(flat, xp.reshape(place, (*groups, -1)), axis=-1)
    found = xp.reshape(found, shape)
    return xp.where(empty, xp.zeros_like(found), found)
