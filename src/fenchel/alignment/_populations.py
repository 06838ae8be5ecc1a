"""Weighted populations: how many draws the weights are worth, and systematic resampling."""

from __future__ import annotations

from typing import Any

from ..backend import backend_of

__all__ = ["ancestors", "effective_size"]

Array = Any


def _weights(xp: Any, log_weights: Array) -> Array:
    """Return the weights of each row over the largest one."""
    return xp.exp(log_weights - xp.max(log_weights, axis=-1, keepdims=True))


def effective_size(log_weights: Array) -> Array:
    """Return (sum w)^2 / sum w^2 along the last axis."""
    xp = backend_of(log_weights).namespace
    w = _weights(xp, log_weights)
    return xp.sum(w, axis=-1) ** 2 / xp.sum(w * w, axis=-1)


def ancestors(log_weights: Array, uniform: Array) -> Array:
    """Return whom each place of a population (..., N) descends from, by systematic resampling.

    Member i gets between floor(N w_i) and ceil(N w_i) places, N w_i in the mean; `uniform`
    (..., 1) in [0, 1) decides. The result is sorted.
    """
    backend = backend_of(log_weights)
    xp, n = backend.namespace, log_weights.shape[-1]
    w = _weights(xp, log_weights)
    reached = xp.cumulative_sum(w, axis=-1)
    share = reached / reached[..., -1:]
    # Places j in [ends[i - 1], ends[i]) are those with (j + u) / N below the share of i.
    ends = xp.ceil(n * share - uniform)
    places = xp.arange(n, device=backend.device_of(log_weights), dtype=w.dtype)
    ends = xp.where((ends > n) | (places == n - 1), xp.full_like(ends, n), ends)
    # Place j descends from the first i with ends[i] > j: there are as many ends up to j, which
    # is what a stable sort of both sets j back by.
    both = xp.concat((ends, xp.broadcast_to(places, ends.shape)), axis=-1)
    rank = xp.argsort(xp.argsort(both, axis=-1, stable=True), axis=-1)[..., n:]
    return rank - xp.arange(n, device=backend.device_of(log_weights), dtype=rank.dtype)
