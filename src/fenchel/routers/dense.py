"""The dense tensors of a routing, as a view for small sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backend import Array, backend_of
from .places import row_weights

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["dense_tensors"]


def dense_tensors(routing: Routing) -> tuple[Array, Array]:
    """Return dispatch (0/1) and combine (weights) of shape (..., n, m, C)."""
    backend = backend_of(routing.weight)
    plain = backend_of(routing.token_index)
    device = plain.device_of(routing.token_index)
    tokens = plain.namespace.arange(routing.n_tokens, dtype=plain.namespace.int32, device=device)
    sits = routing.token_index[..., None, :, :] == tokens[:, None, None]
    xp = backend.namespace
    dispatch = xp.astype(sits, routing.weight.dtype)
    return dispatch, xp.multiply(dispatch, row_weights(backend, routing)[..., None, :, :])
