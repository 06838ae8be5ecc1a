r"""Euclidean projection on plans with given marginals, on a known support.

On its support S the projection is X + u + v. Rows being brought to their sums by u, the column sums
are affine in v, with the Laplacian of the graph of S as their Jacobian. One linear solve with live
data therefore gives the value and all of its derivatives; a second one takes away the rounding of
the first.
"""

from __future__ import annotations

from ..backend import Array, Backend
from ..kernels import solver_kernel
from ..parameters import known_to
from .bipartite import Bipartite
from .entropic_plan import scaled_problem
from .matrices import Matrices
from .semidual import transport_support

__all__ = ["euclidean_plan", "plan_on_support"]

# The hardest problems seen, scores 1e5 times the masses, take 150.
_NEWTON_STEPS = 1000


def euclidean_plan(given: Matrices, a: Array, b: Array) -> Array:
    """Return the plan with row sums `a` and column sums `b` nearest to the matrices."""
    xp, x = given.backend.namespace, given.x
    if x.shape[-1] > x.shape[-2]:  # systems have the size of the columns
        flipped = _plan(given.backend, xp.matrix_transpose(x), b, a)
        return xp.matrix_transpose(flipped)
    return _plan(given.backend, x, a, b)


def _plan(backend: Backend, x: Array, a: Array, b: Array) -> Array:
    problem = scaled_problem(backend, x, a, b, 1.0)
    z, fixed_a, fixed_b = (backend.stop_gradient(y) for y in (problem.z, a, b))
    fixed_a, fixed_b = _feasible(backend, z, fixed_a, fixed_b)
    find = solver_kernel(backend, transport_support)
    (support,) = find(z, fixed_a, fixed_b, _NEWTON_STEPS)
    support = known_to(backend, backend.stop_gradient(support))
    return plan_on_support(backend, problem.z, a, b, support)


def _feasible(backend: Backend, z: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Return marginals of one total, 0 on rows and columns without entries."""
    xp = backend.namespace
    inside = z != float("-inf")
    a = xp.where(xp.any(inside, axis=-1), a, xp.zeros_like(a))
    b = xp.where(xp.any(inside, axis=-2), b, xp.zeros_like(b))
    total = xp.sum(b, axis=-1, keepdims=True)
    safe = xp.where(total == 0, xp.ones_like(total), total)
    return a, b * (xp.sum(a, axis=-1, keepdims=True) / safe)


def plan_on_support(backend: Backend, z: Array, a: Array, b: Array, support: Array) -> Array:
    """Return the affine formula; each component gets its rows' mass in the proportions of b."""
    xp = backend.namespace
    graph = Bipartite(backend, support)
    live = xp.where(support > 0, z, xp.zeros_like(support))
    count = xp.sum(support, axis=-1)
    count = xp.where(count == 0, xp.ones_like(count), count)

    def plan_of(v: Array) -> Array:
        y = xp.multiply(support, xp.add(live, xp.expand_dims(v, axis=-2)))
        u = xp.divide(xp.subtract(a, xp.sum(y, axis=-1)), count)
        return xp.add(y, xp.multiply(support, xp.expand_dims(u, axis=-1)))

    mass = graph.component_sums(b)
    share = xp.divide(b, xp.where(mass == 0, xp.ones_like(mass), mass))
    v = xp.zeros_like(b)
    for _ in range(2):
        sums = xp.sum(plan_of(v), axis=-2)
        excess = xp.subtract(sums, xp.multiply(share, graph.component_sums(sums)))
        v = xp.subtract(v, graph.solve(excess))
    plan = plan_of(v)
    return xp.where(plan <= 0, xp.zeros_like(plan), plan)
