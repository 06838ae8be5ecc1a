"""Weights that particles carry through changes of the parameters.

Each change multiplies them by exp((V(x, before) - V(x, after)) / temperature): particles that moved
by a kernel of each law in turn then stand for the last one (Jarzynski; Neal's annealed weights).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..arrays import check_dtype
from ..backend import backend_of
from ._loop_state import ImplicitState
from .reweighting import effective_sample_size, log_tilt, resample, shares_of
from .state import SamplerState, flat, folded

__all__ = ["equal_weights", "tilted", "weights_of"]

Array = Any
Tree = Any

_FEW = 0.5  # share of the sample below which particles are drawn anew


def equal_weights(first: SamplerState, queue: int) -> Array:
    """Return logarithms of equal weights: one a particle, and for a queue one row a slot."""
    backend = backend_of(first.x)
    xp, info = backend.namespace, check_dtype("x", first.x)
    dtype = xp.float32 if info.half else first.x.dtype
    shape = (first.x.shape[0],) if queue == 1 else (queue, first.x.shape[0])
    return xp.zeros(shape, dtype=dtype, device=backend.device_of(first.x))


def weights_of(logs: Array | None) -> Array | None:
    """Return the weights of the particles that the gradient sees: those of the last slot."""
    if logs is None:
        return None
    return shares_of(logs if logs.ndim == 1 else logs[-1, ...])


def tilted(sampler: Any, state: ImplicitState, before: Tree) -> ImplicitState:
    """Carry the weights through the change of the parameters."""
    if state.queue is None:
        return _tilted_batch(sampler, state, before)
    logs = state.log_weights
    if state.queue.pending is None or logs is None:
        return state
    x = state.queue.pending.x
    backend = backend_of(x)
    xp, slots = backend.namespace, (x.shape[0],)
    rows = flat(backend, x, slots)
    tilt = log_tilt(sampler.energy, rows, before, state.params, sampler.temperature)
    kept = logs[:-1, ...] + folded(backend, tilt, slots)
    # What has left the queue is gone; a new batch enters in front, of equal weights.
    fresh = xp.zeros_like(logs[:1, ...])
    return replace(state, log_weights=xp.concat([fresh, kept], axis=0))


def _tilted_batch(sampler: Any, state: ImplicitState, before: Tree) -> ImplicitState:
    x, stream = state.sampler.x, state.sampler.stream
    xp = backend_of(x).namespace
    logs = state.log_weights + log_tilt(
        sampler.energy, x, before, state.params, sampler.temperature
    )
    weights = shares_of(logs)
    few = effective_sample_size(weights) < _FEW
    u = replace(stream, slot=stream.slot + 3).uniform((), like=weights)
    x = xp.where(few, resample(x, weights, u), x)
    logs = xp.where(few, xp.zeros_like(logs), logs - xp.max(logs))
    return replace(state, sampler=replace(state.sampler, x=x), log_weights=logs)
