"""Batches of a finite sampler on their way: slot m has made m times n_steps / queue steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..backend import Backend, backend_of
from ..random import RandomStream
from ..trees import register_dataclass
from ._draws import batch_stream, joined, kept
from .state import SamplerState

__all__ = ["Popped", "Queue", "advance_queue", "empty_queue"]

Array = Any
Tree = Any


@register_dataclass()
@dataclass(frozen=True)
class Queue:
    """What waits between two steps.

    Parameters
    ----------
    stream
        Stream of batch 0.
    pending
        The queue - 1 batches that are on their way, the newest first; None for a queue of one.
    starts
        Their first states, where paths are kept.
    segments
        What the slots went through in the last queue - 1 steps, the oldest first, each of shape
        (n_steps / queue, queue, n, *event); empty where paths are not kept.
    path
        All states of the batch that came out last, of shape (n_steps + 1, n, *event), or None.
    """

    stream: RandomStream
    pending: SamplerState | None
    starts: Array | None
    segments: tuple[Array, ...]
    path: Array | None


class Popped(NamedTuple):
    """The batch that has made all its steps, and the queue without it."""

    batch: SamplerState
    queue: Queue


def empty_queue(
    sampler: Any, first: SamplerState, stream: RandomStream, size: int, by_path: bool
) -> Queue:
    """Return a queue whose slots hold copies of a first batch: fillers that are never looked at."""
    x = first.x
    xp = backend_of(x).namespace
    path = xp.stack([x] * (sampler.n_steps + 1)) if by_path else None
    if size == 1:
        return Queue(stream, None, None, (), path)
    each = sampler.n_steps // size
    waiting = size - 1
    ages = (xp.arange(waiting, dtype=xp.int32, device=backend_of(x).device_of(x)) + 1) * each

    def repeated(a: Array) -> Array:
        return xp.stack([a] * waiting)

    place = replace(
        first.stream, step=repeated(first.stream.step), stream=repeated(first.stream.stream)
    )
    pending = SamplerState(repeated(x), ages, place)
    if not by_path:
        return Queue(stream, pending, None, (), None)
    segment = xp.stack([xp.stack([x] * size)] * each)
    return Queue(stream, pending, repeated(x), (segment,) * waiting, path)


def advance_queue(sampler: Any, queue: Queue, params: Tree, number: Array) -> Popped:
    """Put batch `number` in front, advance every slot, and take out the last one."""
    fresh = sampler.init(batch_stream(queue.stream, number), params)
    backend = backend_of(fresh.x)
    xp = backend.namespace
    by_path, pending = queue.path is not None, queue.pending
    if pending is None:
        final, states = _steps(backend, sampler, fresh, params, sampler.n_steps, by_path)
        path = xp.concat([fresh.x[None, ...], states], axis=0) if by_path else None
        return Popped(final, replace(queue, path=path))
    size = pending.x.shape[0] + 1
    slots = SamplerState(
        xp.concat([fresh.x[None, ...], pending.x], axis=0),
        xp.concat([xp.reshape(fresh.t, (1,)), pending.t], axis=0),
        joined(fresh.stream, pending.stream),
    )
    moved, segment = _steps(backend, sampler, slots, params, sampler.n_steps // size, by_path)
    stream = moved.stream
    done = replace(stream, step=stream.step[-1], stream=stream.stream[-1])
    batch = SamplerState(moved.x[-1, ...], moved.t[-1], done)
    rest = SamplerState(moved.x[:-1, ...], moved.t[:-1], kept(stream))
    if not by_path:
        return Popped(batch, replace(queue, pending=rest))
    starts = xp.concat([fresh.x[None, ...], queue.starts], axis=0)
    segments = (*queue.segments, segment)
    parts = [part[:, slot, ...] for slot, part in enumerate(segments)]
    path = xp.concat([starts[-1:, ...], *parts], axis=0)
    return Popped(batch, Queue(queue.stream, rest, starts[:-1, ...], segments[1:], path))


def _steps(
    backend: Backend, sampler: Any, state: SamplerState, params: Tree, steps: int, by_path: bool
) -> tuple[SamplerState, Array | None]:
    """Return the state after some steps, and the particles after each where they are kept."""

    def fold(carry: SamplerState, _: Any) -> tuple[SamplerState, Array]:
        new = sampler.step(carry, params)
        return new, new.x

    if by_path:
        return backend.scan(fold, state, None, steps)
    if steps == 1:
        return sampler.step(state, params), None
    return backend.fori_loop(0, steps, lambda _, s: sampler.step(s, params), state), None
