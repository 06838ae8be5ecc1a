r"""The support of the Euclidean projection on plans with given marginals.

With potentials v of the columns the best rows are projections of z_i + v on simplices of radius
a_i, and what is left is to minimise the convex, piecewise quadratic semi-dual

    D(v) = sum_i max {<p, z_i + v> - |p|^2 / 2 : p >= 0, sum p = a_i} - <b, v>,

whose gradient is column sums - b and whose generalised Hessian is the Laplacian of the graph of
the support. A regularised Newton method ends after finitely many steps, as the pieces are finitely
many: Li, Sun and Toh (2020), "On the efficient computation of a generalized Jacobian of the
projector over the Birkhoff polytope".

Scores much larger than the masses make the problem nearly linear and Newton steps short. They are
scaled down first, and grow as the potentials follow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import float_info
from ..backend import Array, Backend

__all__ = ["transport_support"]

_FIRST_DAMPING, _LEAST_DAMPING = 1e-2, 1e-10
# Scores start at this many masses, and grow by the factor once columns are right up to the rest.
_FIRST_SIZE, _GROWTH, _ROUGHLY = 10.0, 4.0, 1e-2
# The residual that rounding leaves, in units of the machine epsilon and of the size of the data.
_ROUNDING = 32.0


class _State(NamedTuple):
    count: Array
    v: Array
    plan: Array
    value: Array
    residual: Array
    damping: Array
    scale: Array  # of the scores, at most 1


def transport_support(
    backend: Backend, z: Array, a: Array, b: Array, max_iter: int
) -> tuple[Array]:
    """Reference kernel: the support as a 0/1 matrix, after at most `max_iter` Newton steps.

    `z` is -inf where no mass may go, and on rows and columns without mass.
    """
    xp = backend.namespace
    info = float_info(z.dtype)
    eps = info.eps if info is not None else 0.0
    finite = xp.where(xp.isfinite(z), xp.abs(z), xp.zeros_like(z))
    size, mass = xp.max(finite, axis=(-2, -1)), xp.max(xp.abs(b), axis=-1)
    noise = _ROUNDING * eps * (size + mass)
    start, one = xp.zeros_like(b), xp.ones_like(size)
    count = xp.zeros((), dtype=xp.int32, device=backend.device_of(z))
    small = size > _FIRST_SIZE * mass
    scale = xp.where(small, _FIRST_SIZE * mass / xp.where(small, size, one), one)
    found = _evaluate(backend, z, a, b, start, scale)
    state = _State(count, start, *found, xp.full_like(noise, _FIRST_DAMPING), scale)

    def going(state: _State) -> Array:
        unsolved = (state.residual > noise) | (state.scale < 1)
        return (state.count < max_iter) & xp.any(unsolved)

    def step(state: _State) -> _State:
        return _newton_step(backend, z, a, b, state, noise, mass)

    state = backend.while_loop(going, step, state)
    least = xp.expand_dims(noise, axis=(-2, -1)) * 4
    support = xp.astype(xp.logical_not(state.plan <= least), z.dtype)
    return (xp.where(xp.isnan(state.plan), state.plan, support),)


def _evaluate(
    backend: Backend, z: Array, a: Array, b: Array, v: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Return the plan, the semi-dual, and the largest error of a column sum."""
    xp = backend.namespace
    y = z * xp.expand_dims(scale, axis=(-2, -1)) + xp.expand_dims(v, axis=-2)
    plan = _rows_on_simplices(xp, y, a)
    inner = xp.where(plan > 0, y, xp.zeros_like(y))
    value = xp.sum(plan * inner - plan * plan / 2, axis=(-2, -1)) - xp.sum(b * v, axis=-1)
    return plan, value, xp.max(xp.abs(xp.sum(plan, axis=-2) - b), axis=-1)


def _rows_on_simplices(xp: Any, y: Array, a: Array) -> Array:
    """Project rows on simplices of radius a, by sorting; rows of only -inf give 0."""
    ordered = xp.sort(y, axis=-1, descending=True)
    radius = xp.expand_dims(a, axis=-1)
    ranks = xp.cumulative_sum(xp.ones_like(ordered), axis=-1)
    sums = xp.cumulative_sum(ordered, axis=-1)
    inside = ranks * ordered > sums - radius
    count = xp.sum(xp.astype(inside, y.dtype), axis=-1, keepdims=True)
    total = xp.sum(xp.where(inside, ordered, xp.zeros_like(y)), axis=-1, keepdims=True)
    some = count > 0
    tau = (total - radius) / xp.where(some, count, xp.ones_like(count))
    height = y - tau
    return xp.where(some & (height > 0), height, xp.where(xp.isnan(y), y, xp.zeros_like(y)))


def _newton_step(
    backend: Backend, z: Array, a: Array, b: Array, state: _State, noise: Array, mass: Array
) -> _State:
    """One step of Levenberg and Marquardt: taken if it is a descent, else damped more.

    Where a smaller scale is solved roughly, the step is to the next scale.
    """
    xp = backend.namespace
    gradient = xp.sum(state.plan, axis=-2) - b
    direction = _direction(backend, state.plan, gradient, state.damping)
    grows = (state.scale < 1) & (state.residual <= _ROUGHLY * mass)
    grown = xp.minimum(_GROWTH * state.scale, xp.ones_like(state.scale))
    scale = xp.where(grows, grown, state.scale)
    follows = state.v * xp.expand_dims(scale / state.scale, axis=-1)
    v = xp.where(xp.expand_dims(grows, axis=-1), follows, state.v + direction)
    v = v - xp.mean(v, axis=-1, keepdims=True)
    plan, value, residual = _evaluate(backend, z, a, b, v, scale)
    slope = xp.sum(gradient * direction, axis=-1)
    # Near the end differences of values are rounding, and the residual tells.
    better = (value <= state.value + 1e-4 * slope) | (residual <= 0.5 * state.residual)
    damping = xp.where(better, state.damping / 8, state.damping * 4)
    damping = xp.maximum(damping, xp.full_like(damping, _LEAST_DAMPING))
    taken = grows | (better & (state.residual > noise))

    def chosen(new: Array, old: Array) -> Array:
        axes = tuple(range(taken.ndim, old.ndim))
        return xp.where(xp.expand_dims(taken, axis=axes) if axes else taken, new, old)

    return _State(
        state.count + 1,
        chosen(v, state.v),
        chosen(plan, state.plan),
        chosen(value, state.value),
        chosen(residual, state.residual),
        xp.where(grows, state.damping, damping),
        scale,
    )


def _direction(backend: Backend, plan: Array, gradient: Array, damping: Array) -> Array:
    """Return -(L + damping)^-1 gradient, L the Laplacian of the support of the plan."""
    xp = backend.namespace
    m = plan.shape[-1]
    support = xp.astype(plan > 0, plan.dtype)
    degree = xp.sum(support, axis=-1, keepdims=True)
    shares = support / xp.where(degree > 0, degree, xp.ones_like(degree))
    laplacian = xp.matmul(xp.matrix_transpose(support), shares)
    diagonal = xp.sum(support, axis=-2) + xp.expand_dims(damping, axis=-1)
    places = xp.arange(m, device=backend.device_of(plan))
    own = xp.expand_dims(places, axis=-1) == xp.expand_dims(places, axis=0)
    full = xp.where(own, xp.expand_dims(diagonal, axis=-1), xp.zeros_like(laplacian)) - laplacian
    safe = xp.where(xp.isnan(gradient), xp.zeros_like(gradient), gradient)
    return -xp.squeeze(xp.linalg.solve(full, xp.expand_dims(safe, axis=-1)), axis=-1)
