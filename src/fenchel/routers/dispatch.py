"""Rows of tokens into buffers and back, by gathering alone.

A token sits in at most one row of each buffer, so that both directions are partial maps with a
known inverse: what a gather scatters in its pullback, the inverse map gathers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arrays import check_dtype, narrow, widen
from ..backend import Array, Backend, backend_of
from ..parameters import known_to

if TYPE_CHECKING:
    from .routing import Routing

__all__ = ["combine_rows", "dispatch_rows"]


def dispatch_rows(routing: Routing, x: Array) -> Array:
    """Return the buffers (..., m, C, d) of tokens (..., n, d); see `Routing.dispatch`."""
    backend = backend_of(x, routing.weight)
    x = known_to(backend, x)
    groups = tuple(routing.token_index.shape[:-2])
    if tuple(x.shape[:-1]) != (*groups, routing.n_tokens):
        raise ValueError(
            f"`x` must have the shape {(*groups, routing.n_tokens, 'd')}; got {tuple(x.shape)}"
        )
    xp = backend.namespace
    index = xp.reshape(routing.token_index, (*groups, -1))
    rows = take_rows(backend, x, index)
    return xp.reshape(rows, (*routing.token_index.shape, x.shape[-1]))


def combine_rows(routing: Routing, y: Array) -> Array:
    """Return the tokens (..., n, d) of buffers (..., m, C, d); see `Routing.combine`."""
    backend = backend_of(y, routing.weight)
    y = known_to(backend, y)
    shape = tuple(routing.token_index.shape)
    if tuple(y.shape[:-1]) != shape:
        raise ValueError(f"`y` must have the shape {(*shape, 'd')}; got {tuple(y.shape)}")
    info = check_dtype("y", y)
    xp = backend.namespace
    dtype, y = y.dtype, widen(xp, y, info)
    weight = xp.astype(known_to(backend, routing.weight), y.dtype)
    flat = xp.reshape(y, (*shape[:-2], shape[-2] * shape[-1], y.shape[-1]))
    places, weights = token_places(backend, routing, weight)
    total = xp.zeros((*shape[:-2], routing.n_tokens, y.shape[-1]), dtype=y.dtype)
    for j in range(places.shape[-1]):
        total = xp.add(
            total,
            xp.multiply(weights[..., j : j + 1], take_rows(backend, flat, places[..., j])),
        )
    return narrow(xp, total, info, dtype)


def token_places(backend: Backend, routing: Routing, weight: Array) -> tuple[Array, Array]:
    """Return for each token the flat buffer rows it sits in, m C if none, and their weights."""
    xp = backend.namespace
    if routing.expert_index is None or routing.slot is None:
        raise ValueError("expert choice")
    rows = routing.n_experts * routing.capacity
    flat = routing.expert_index * routing.capacity + routing.slot
    return xp.where(routing.slot >= 0, flat, xp.full_like(flat, rows)), weight


def take_rows(backend: Backend, x: Array, index: Array) -> Array:
    """Return rows of x (..., R, d) at `index` (..., S), zeros where it is R."""
    xp: Any = backend.namespace
    zero = xp.zeros((*x.shape[:-2], 1, x.shape[-1]), dtype=x.dtype)
    padded = xp.concat((x, zero), axis=-2)
    groups, rows, width = x.shape[:-2], x.shape[-2] + 1, x.shape[-1]
    count = 1
    for size in groups:
        count *= size
    flat = xp.reshape(xp.astype(index, xp.int64), (count, index.shape[-1]))
    start = xp.arange(count, dtype=xp.int64, device=backend.device_of(index))[:, None] * rows
    found = xp.take(
        xp.reshape(padded, (count * rows, width)), xp.reshape(flat + start, (-1,)), axis=0
    )
    return xp.reshape(found, (*groups, index.shape[-1], width))
