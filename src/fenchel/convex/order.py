"""The order that sorts each row, and its inverse: integers, constants of every derivative."""

from __future__ import annotations

from ..backend import Array, Backend
from .blocks import positions

__all__ = ["ascending_order", "inverse_order"]


def ascending_order(backend: Backend, x: Array, *, stable: bool = True) -> Array:
    """Return the order that sorts each row; if `stable`, equal entries by lower index."""
    return backend.namespace.argsort(backend.stop_gradient(x), axis=-1, stable=stable)


def inverse_order(backend: Backend, order: Array) -> Array:
    """Return the place of each entry in the sorted row."""
    xp = backend.namespace
    places = xp.broadcast_to(positions(backend, order), tuple(order.shape))
    return backend.scatter_add(xp.zeros_like(order), order, xp.astype(places, order.dtype))
