"""Random numbers of samplers: a stream whose position is part of the state."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any

from ..backend import backend_of
from ..random import RandomStream, integers
from ..random.philox import working_dtype

__all__ = ["as_stream", "batch_stream", "begun", "joined", "kept", "seeded"]

Array = Any


def seeded(rng: Any) -> Any:
    """Return the stream of an integer seed, anything else as it is."""
    if not isinstance(rng, bool) and isinstance(rng, Integral):
        return RandomStream(int(rng))
    return rng


def as_stream(rng: Any, like: Array) -> RandomStream:
    """Return the stream of a seed; generators give the seed of one, JAX keys its number.

    A state that holds a generator could be neither resumed nor compiled. A key has no value inside
    jit, which a seed must have; it gives the same stream there and outside.

    Raises
    ------
    TypeError
        If `rng` is not understood.
    """
    rng = seeded(rng)
    if isinstance(rng, RandomStream):
        return rng
    drawn = integers(rng, 0, 2**31 - 1, (), like=like)
    by_key = backend_of(drawn).name == "jax"
    return RandomStream(0, stream=drawn) if by_key else RandomStream(int(drawn))


def begun(stream: RandomStream, like: Array) -> RandomStream:
    """Return a stream with its position as arrays: a compiled step takes any."""
    backend = backend_of(like)
    xp, device = backend.namespace, backend.device_of(like)

    def placed(value: Any) -> Array:
        dtype = working_dtype(backend)
        if isinstance(value, int):
            return xp.asarray(value, dtype=dtype, device=device)
        return xp.astype(value, dtype)

    return replace(stream, step=placed(stream.step), stream=placed(stream.stream))


def batch_stream(stream: RandomStream, batch: Array) -> RandomStream:
    """Return the stream of a batch, which is that of the first batch for number 0."""
    dtype = stream.stream.dtype
    number = backend_of(stream.stream).namespace.astype(batch, dtype)
    return replace(stream, stream=stream.stream + number)


def joined(fresh: RandomStream, pending: RandomStream) -> RandomStream:
    """Return the positions of a fresh batch and of the pending ones behind it."""
    xp = backend_of(pending.step).namespace

    def both(first: Array, rest: Array) -> Array:
        return xp.concat([xp.reshape(first, (1,)), rest], axis=0)

    step = both(fresh.step, pending.step)
    return replace(fresh, step=step, stream=both(fresh.stream, pending.stream))


def kept(stream: RandomStream) -> RandomStream:
    """Return the positions of all slots but the last."""
    return replace(stream, step=stream.step[:-1], stream=stream.stream[:-1])
