r"""Three forms of causal linear attention without positional weights.

With the state S_i = S_0 + \sum_{j<=i} k_j v_j^T the output is o_i = S_i^T conj(q_i): one product of
T x T scores (parallel), one step a token (recurrent), or both: within a chunk the scores, between
chunks the state (Hua et al. 2022, arXiv 2202.10447, section 3.3; Yang et al. 2024, 2312.06635).
"""

from __future__ import annotations

from typing import Any

from ...contract import compiled
from .._numbers import conj, split_time

__all__ = ["chunked", "parallel", "recurrent"]

Array = Any


@compiled("final", "chunk")
def parallel(
    backend: Any, q: Array, k: Array, v: Array, state: Array | None, *, final: bool, chunk: int
) -> tuple[Array, Any]:
    """Return outputs and final state from all scores at once, in O(T^2) per head."""
    xp = backend.namespace
    q = conj(xp, q)
    out = xp.matmul(xp.tril(xp.matmul(q, xp.matrix_transpose(k))), v)
    if state is not None:
        out = out + xp.matmul(q, state)
    if not final:
        return out, None
    total = xp.matmul(xp.matrix_transpose(k), v)
    return out, total if state is None else state + total


@compiled("final", "chunk")
def recurrent(
    backend: Any, q: Array, k: Array, v: Array, state: Array | None, *, final: bool, chunk: int
) -> tuple[Array, Any]:
    """Return outputs and final state token by token; beside the outputs, one state is kept."""
    xp = backend.namespace
    q = conj(xp, q)
    rows = xp.expand_dims(q, axis=-2), xp.expand_dims(k, axis=-1), xp.expand_dims(v, axis=-2)
    xs = tuple(split_time(xp, x, -3) for x in rows)

    def step(total: Array, token: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        query, key, value = token
        total = total + key * value
        return total, xp.matmul(query, total)

    # made of arrays, not of shapes: device, dtype and mapped axes are theirs
    start = xp.zeros_like(xs[1][0, ...] * xs[2][0, ...])
    total, outs = backend.scan(step, start if state is None else start + state, xs)
    outs = xp.permute_dims(outs, (*range(1, outs.ndim - 2), 0, outs.ndim - 2, outs.ndim - 1))
    return outs[..., 0, :], total if final else None


@compiled("final", "chunk")
def chunked(
    backend: Any, q: Array, k: Array, v: Array, state: Array | None, *, final: bool, chunk: int
) -> tuple[Array, Any]:
    """Return outputs and final state in O(T (chunk + d) d) per head."""
    xp = backend.namespace
    length = q.shape[-2]
    q, k, v = (_in_chunks(xp, x, chunk) for x in (conj(xp, q), k, v))
    within = xp.matmul(xp.tril(xp.matmul(q, xp.matrix_transpose(k))), v)
    sums = xp.cumulative_sum(xp.matmul(xp.matrix_transpose(k), v), axis=-3)
    # What came before a chunk is not its own sum subtracted: the future would show in rounding.
    before = xp.concat([xp.zeros_like(sums[..., :1, :, :]), sums[..., :-1, :, :]], axis=-3)
    total = sums[..., -1, :, :]
    if state is not None:
        before = before + xp.expand_dims(state, axis=-3)
        total = total + state
    out = within + xp.matmul(q, before)
    out = xp.reshape(out, (*out.shape[:-3], out.shape[-3] * chunk, out.shape[-1]))
    return out[..., :length, :], total if final else None


def _in_chunks(xp: Any, x: Array, chunk: int) -> Array:
    """Return (..., T, d) as (..., T / chunk, chunk, d), filled up with zeros."""
    length = x.shape[-2]
    count = -(-length // chunk)
    if count * chunk > length:
        row = xp.zeros_like(x[..., :1, :])  # of `x`: device, dtype and mapped axes are its own
        fill = xp.broadcast_to(row, (*x.shape[:-2], count * chunk - length, x.shape[-1]))
        x = xp.concat([x, fill], axis=-2)
    return xp.reshape(x, (*x.shape[:-2], count, chunk, x.shape[-1]))
