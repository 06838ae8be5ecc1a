"""Reference kernel of Dykstra's algorithm for weighted isotonic regression.

The monotone cone is the intersection of two sets, each a product over disjoint pairs: the pairs
that start at an even place, and those that start at an odd one. Projecting on either replaces a
violating pair by its weighted mean. Dykstra's algorithm alternates the two, each time adding back
what the last projection on that set took away, and tends to the projection on the intersection.

Convergence is diffusive: a pooled block of m entries takes about (m / pi)^2 log(1 / tol) cycles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, Backend
from .blocks import block_ids, has_nan, positions

__all__ = ["dykstra", "enough_cycles"]

# A pooled row of n = 1e3 takes 5e6 cycles. Beyond about a second of work the status says what is
# missing; uneven weights slow convergence, hence a floor for short rows.
_LEAST_CYCLES, _MOST_CYCLES, _MOST_STEPS = 20_000, 100_000, 200_000_000


class _State(NamedTuple):
    z: Array
    even: Array  # what the last projection on the even pairs took away
    odd: Array
    iterations: Array
    residual: Array
    running: Array


def enough_cycles(n: int, tol: float) -> int:
    """Return a number of cycles that suffices if all of n entries are pooled, within reason."""
    enough = math.ceil(2 * (n / math.pi) ** 2 * math.log(1 / tol))
    return min(max(enough, _LEAST_CYCLES), max(_MOST_CYCLES, _MOST_STEPS // n))


def dykstra(
    backend: Backend,
    y: Array,
    weights: Array,
    max_iter: Array | float,
    tol: Array | float,
    increasing: Array | float,
) -> tuple[Array, Array, Array, Array]:
    """Return (blocks, fit, iterations, residual) after at most `max_iter` cycles.

    The residual is the larger of the greatest violation of the order and the last change of an
    entry; a row stops when it falls below `tol`, and a row in order takes no cycle. Blocks join the
    pairs whose constraint is active: those that the last projection had to move. Blocks are int32
    (..., n), `iterations` int32 and `residual` (..., 1).
    """
    xp = backend.namespace
    sign = 2.0 * increasing - 1.0
    broken = has_nan(backend, y) | has_nan(backend, weights)
    start = xp.where(broken, xp.zeros_like(y), sign * y)
    rows = xp.zeros_like(start[..., :1])
    violation = _violation(backend, start)
    init = _State(
        z=start,
        even=xp.zeros_like(start),
        odd=xp.zeros_like(start),
        iterations=xp.astype(rows, xp.int32),
        residual=violation,
        running=~broken & (violation > 0) & (max_iter > rows),
    )

    def cycle(state: _State) -> _State:
        middle = _project_pairs(backend, state.z + state.even, weights, 0)
        even = state.z + state.even - middle
        z = _project_pairs(backend, middle + state.odd, weights, 1)
        odd = middle + state.odd - z
        residual = xp.maximum(_violation(backend, z), _largest(backend, xp.abs(z - state.z)))
        iterations = state.iterations + 1
        unsolved = (residual >= tol) & (residual > 0)
        going = state.running & unsolved & (xp.astype(iterations, y.dtype) < max_iter)
        new = _State(z, even, odd, iterations, residual, going)
        # A row that has stopped keeps what it has.
        return _State(*(xp.where(state.running, a, b) for a, b in zip(new, state, strict=True)))

    end = backend.while_loop(lambda state: xp.any(state.running), cycle, init)
    places = positions(backend, y)
    # The projection on a pair moves its left entry exactly when it violates.
    moved = xp.where(places % 2 == 0, end.even, end.odd)[..., :-1] > 0
    starts = xp.concat([xp.ones_like(broken), ~(moved & ~broken)], axis=-1)
    nan = xp.full_like(rows, float("nan"))
    return (
        xp.astype(block_ids(backend, starts), xp.int32),
        xp.where(broken, nan, sign * end.z),
        end.iterations,
        xp.where(broken, nan, end.residual),
    )


def _project_pairs(backend: Backend, z: Array, weights: Array, first: int) -> Array:
    """Project on the pairs (first, first + 1), (first + 2, first + 3), ... being in order."""
    xp = backend.namespace
    n = z.shape[-1]
    places = positions(backend, z)
    left = (places - first) % 2 == 0
    partner = xp.where(left, places + 1, places - 1)
    paired = (partner >= 0) & (partner < n)
    partner = xp.where(paired, partner, places)
    other, other_weight = xp.take(z, partner, axis=-1), xp.take(weights, partner, axis=-1)
    bad = paired & xp.where(left, z > other, other > z)
    total = weights + other_weight
    share = xp.where(total > 0, other_weight / xp.where(total > 0, total, xp.ones_like(total)), 0.5)
    return xp.where(bad, z + share * (other - z), z)


def _violation(backend: Backend, z: Array) -> Array:
    """Return the greatest violation of the order in each row, 0 if there is none."""
    xp = backend.namespace
    return _largest(
        backend, xp.concat([xp.zeros_like(z[..., :1]), z[..., :-1] - z[..., 1:]], axis=-1)
    )


def _largest(backend: Backend, x: Array) -> Array:
    return backend.namespace.max(x, axis=-1, keepdims=True)
