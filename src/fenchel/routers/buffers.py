r"""Buffer filling: which assignments find a place with their expert.

Assignments come in an order of priority. The position of one is the number of earlier assignments
to the same expert, dropped ones included; it is kept if its position is below the capacity. One
stable sort by expert gives both maps:

    order     the assignments, sorted by expert: row c of expert e is order[offset_e + c];
    position  the place of each assignment within its expert.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array, Backend
from ..kernels import structure_kernel
from ._indices import as_index

__all__ = ["Buffers", "counts_of", "fill_buffers", "sorted_by_expert"]


class Buffers(NamedTuple):
    """Filled buffers: assignments are numbered in their order of priority."""

    slot: Array  # (..., N): row within the expert, -1 where dropped or not asked for
    assignment: Array  # (..., m, C): the assignment in each row, N where it is empty
    demand: Array  # (..., m)


def fill_buffers(backend: Backend, experts: Array, n_experts: int, capacity: int) -> Buffers:
    """Fill the buffers with assignments to `experts` (..., N), int32; `n_experts` means none."""
    xp = backend.namespace
    total = experts.shape[-1]
    order, position = sorted_by_expert(backend, experts, n_experts)
    demand = counts_of(backend, experts, n_experts)
    kept = (experts < n_experts) & (position < capacity)
    slot = xp.where(kept, position, xp.full_like(position, -1))
    return Buffers(slot, _inverse(backend, order, demand, capacity, total), demand)


def _inverse(backend: Backend, order: Array, demand: Array, capacity: int, total: int) -> Array:
    """Return the assignment in each buffer row: a slice of the sorted ones for each expert."""
    xp = backend.namespace
    offset = xp.cumulative_sum(demand, axis=-1, dtype=xp.int32) - demand
    row = xp.arange(capacity, dtype=xp.int32, device=backend.device_of(order))
    place = offset[..., None] + row
    filled = row < demand[..., None]
    if total == 0:
        return xp.zeros_like(place)
    rows = (*order.shape[:-1], demand.shape[-1] * capacity)
    flat = xp.reshape(xp.where(filled, place, xp.zeros_like(place)), rows)
    found = xp.reshape(xp.take_along_axis(order, as_index(xp, flat), axis=-1), place.shape)
    return xp.where(filled, found, xp.full_like(found, total))


def counts_of(backend: Backend, experts: Array, n_experts: int) -> Array:
    """Return how often each expert occurs in `experts` (..., N): int32 of shape (..., m)."""
    xp = backend.namespace
    ones = xp.ones_like(experts, dtype=xp.float32)
    return xp.astype(backend.segment_sum(ones, experts, n_experts + 1)[..., :-1], xp.int32)


def sorted_by_expert(backend: Backend, experts: Array, n_experts: int) -> tuple[Array, Array]:
    """Return (order, position) of assignments (..., N): a stable sort, and ranks in its runs."""
    xp = backend.namespace
    if experts.shape[-1] == 0:
        return experts, experts
    kernel = structure_kernel(
        backend, "sorted_by_expert", reference_sort, xp.astype(experts, xp.float32)
    )
    order, position = kernel(xp.astype(experts, xp.float32), float(n_experts + 1))
    return order, position


def reference_sort(backend: Backend, experts: Array, n_values: Any) -> tuple[Array, Array]:
    """Reference kernel: two stable sorts; `experts` holds integers below `n_values` as floats."""
    xp = backend.namespace
    order = xp.argsort(experts, axis=-1, stable=True)
    place = xp.astype(xp.argsort(order, axis=-1, stable=True), xp.int32)
    ordered = xp.take_along_axis(experts, order, axis=-1)
    index = xp.broadcast_to(
        xp.arange(experts.shape[-1], dtype=xp.int32, device=backend.device_of(experts)),
        ordered.shape,
    )
    fresh = xp.concat(
        (xp.ones_like(ordered[..., :1], dtype=xp.bool), ordered[..., 1:] != ordered[..., :-1]),
        axis=-1,
    )
    first = _running_maximum(backend, xp.where(fresh, index, xp.zeros_like(index)))
    rank = xp.take_along_axis(index - first, as_index(xp, place), axis=-1)
    return xp.astype(order, xp.int32), rank


def _running_maximum(backend: Backend, x: Array) -> Array:
    """Return the largest entry so far along the last axis, in log2(n) passes."""
    xp, n = backend.namespace, x.shape[-1]
    reach = 1
    while reach < n:
        x = xp.concat((x[..., :reach], xp.maximum(x[..., reach:], x[..., :-reach])), axis=-1)
        reach *= 2
    return x
