r"""Causal linear attention with positional weights: o_i = \sum_{j<=i} P_ij (q_i . k_j) v_j.

The weights of a row are its own, so that no state sums up the past: the three forms differ in how
many rows of scores stand in memory at once.
"""

from __future__ import annotations

from typing import Any

from ...contract import compiled
from .._numbers import conj, split_time

__all__ = ["chunked", "parallel", "recurrent"]

Array = Any


@compiled("chunk")
def parallel(backend: Any, q: Array, k: Array, v: Array, weights: Array, *, chunk: int) -> Array:
    """Return the outputs from all scores at once."""
    xp = backend.namespace
    scores = xp.matmul(conj(xp, q), xp.matrix_transpose(k))
    return xp.matmul(scores * xp.tril(weights), v)


@compiled("chunk")
def chunked(backend: Any, q: Array, k: Array, v: Array, weights: Array, *, chunk: int) -> Array:
    """Return the outputs from `chunk` rows of scores at a time."""
    xp, length = backend.namespace, q.shape[-2]
    q, weights, blocks = conj(xp, q), xp.tril(weights), []
    for start in range(0, length, chunk):
        stop = min(start + chunk, length)
        scores = xp.matmul(q[..., start:stop, :], xp.matrix_transpose(k[..., :stop, :]))
        block = scores * weights[..., start:stop, :stop]
        blocks.append(xp.matmul(block, v[..., :stop, :]))
    return xp.concat(blocks, axis=-2)


@compiled("chunk")
def recurrent(backend: Any, q: Array, k: Array, v: Array, weights: Array, *, chunk: int) -> Array:
    """Return the outputs row by row of the scores."""
    xp = backend.namespace
    keys = xp.matrix_transpose(k)
    queries = xp.expand_dims(conj(xp, q), axis=-2)
    rows = xp.expand_dims(xp.tril(weights), axis=-2)
    xs = (split_time(xp, queries, -3), split_time(xp, rows, -3))

    def step(carry: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        query, weight = row
        return carry, xp.matmul(xp.matmul(query, keys) * weight, v)

    _, outs = backend.scan(step, v[..., 0, 0], xs)
    outs = xp.permute_dims(outs, (*range(1, outs.ndim - 2), 0, outs.ndim - 2, outs.ndim - 1))
    return outs[..., 0, :]
