"""Noise of a path that can be drawn again, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..backend import Backend
from ..parameters import check_array
from ._draws import as_stream

__all__ = ["ReplayedNoise", "replayed", "row"]

Array = Any
ReplayedNoise = Callable[[Any], Array]


def replayed(
    backend: Backend, rng: Any, noise: Array | None, like: Array, n_steps: int
) -> ReplayedNoise | None:
    """Return the noise of a step as a function of its index, None where there is none.

    The index is an integer or a traced scalar. The same index gives the same numbers each time.

    Raises
    ------
    ValueError
        If both `rng` and `noise` are given, or the noise has the wrong shape.
    """
    if rng is not None and noise is not None:
        raise ValueError("only one of `rng` and `noise` may be given; got both")
    if noise is not None:
        return _given(backend, noise, like, n_steps)
    if rng is None:
        return None
    stream = as_stream(rng, like)
    first, shape = stream.step, tuple(like.shape)
    return lambda k: replace(stream, step=first + k).normal(shape, like=like)


def _given(backend: Backend, noise: Array, like: Array, n_steps: int) -> ReplayedNoise:
    check_array("noise", noise, backend)
    wanted = (n_steps, *like.shape)
    if tuple(noise.shape) != wanted:
        raise ValueError(f"`noise` must have shape {wanted}; got {tuple(noise.shape)}")
    constant = backend.stop_gradient(noise)
    if constant.dtype != like.dtype:
        constant = backend.namespace.astype(constant, like.dtype)
    return lambda k: row(backend, constant, k)


def row(backend: Backend, stack: Array, k: Any) -> Array:
    """Return ``stack[k]``, where k may be traced."""
    if isinstance(k, int):
        return stack[k, ...]
    xp = backend.namespace
    return xp.take(stack, xp.reshape(k, (1,)), axis=0)[0, ...]
