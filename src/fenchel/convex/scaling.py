r"""Sinkhorn's iteration in the log domain, and the plan as a function of column potentials.

With scores z in units of the temperature, one sweep updates the columns first and the rows last:

    v_j = log b_j - log sum_i exp(z_ij + u_i),    u_i = log a_i - log sum_j exp(z_ij + v_j),

from u = 0, and the plan is exp(z + u + v): its rows are exact after any number of sweeps. Entries
of -inf are out; rows and columns without entries have potential 0 and no mass.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, Backend

__all__ = ["log_sweep", "plan_of_columns", "scale_columns"]


class _State(NamedTuple):
    count: Array
    u: Array
    v: Array
    moving: Array


def scale_columns(
    backend: Backend,
    z: Array,
    u: Array,
    log_a: Array,
    log_b: Array,
    tol: Array | float,
    max_iter: int,
) -> Array:
    """Return the column potentials after `max_iter` sweeps from `u`, or fewer.

    Reference kernel. A problem is done when no column sum is further from its marginal than `tol`
    in logarithm; the loop ends when all are done.
    """
    xp = backend.namespace
    v = xp.zeros_like(log_b)
    count = xp.zeros((), dtype=xp.int32, device=backend.device_of(z))
    state = _State(count, u, v, xp.ones_like(v, dtype=xp.bool))

    def sweep(state: _State) -> _State:
        u, v = log_sweep(backend, z, state.u, log_a, log_b)
        # The columns moved by the logarithm of how far their sums were off.
        return _State(state.count + 1, u, v, xp.abs(v - state.v) > tol)

    def going(state: _State) -> Array:
        return (state.count < max_iter) & xp.any(state.moving)

    return backend.while_loop(going, sweep, state).v


def log_sweep(
    backend: Backend, z: Array, u: Array, log_a: Array, log_b: Array
) -> tuple[Array, Array]:
    """Return (u, v) after one sweep: columns first, rows last."""
    xp = backend.namespace
    v = _balance(backend, xp.add(z, xp.expand_dims(u, axis=-1)), log_b, -2)
    u = _balance(backend, xp.add(z, xp.expand_dims(v, axis=-2)), log_a, -1)
    return u, v


def _balance(backend: Backend, z: Array, log_marginal: Array, axis: int) -> Array:
    """Return log marginal - log sum exp(z), 0 where nothing is summed."""
    xp = backend.namespace
    e, top = _exponentials(backend, z, axis)
    total = xp.sum(e, axis=axis)
    empty = total == 0
    logs = xp.add(xp.log(xp.where(empty, xp.ones_like(total), total)), xp.squeeze(top, axis=axis))
    return xp.where(empty, xp.zeros_like(logs), xp.subtract(log_marginal, logs))


def _exponentials(backend: Backend, z: Array, axis: int) -> tuple[Array, Array]:
    """Return exp(z - top) and top, the largest entry along `axis` as a constant."""
    xp = backend.namespace
    top = xp.max(backend.stop_gradient(z), axis=axis, keepdims=True)
    top = xp.where(top == float("-inf"), xp.zeros_like(top), top)
    return xp.exp(xp.subtract(z, top)), top


def plan_of_columns(backend: Backend, z: Array, a: Array, v: Array) -> Array:
    """Return the plan whose rows sum to `a`: a times the softmax of z + v along the rows."""
    xp = backend.namespace
    e, _ = _exponentials(backend, xp.add(z, xp.expand_dims(v, axis=-2)), -1)
    total = xp.sum(e, axis=-1, keepdims=True)
    share = xp.divide(e, xp.where(total == 0, xp.ones_like(total), total))
    return xp.multiply(xp.expand_dims(a, axis=-1), share)
