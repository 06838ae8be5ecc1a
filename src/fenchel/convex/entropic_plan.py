r"""Entropic transport plans.

The plan is P = exp(z + u + v) with potentials u of the rows and v of the columns. They are found by
Sinkhorn's iteration on detached data; then, with live scores and marginals, v is corrected by

    v <- v - L^-1 (column sums(v) - b),

the rows being exact for any v. The value is left as the sweeps gave it, down to the last bit: a
correction adds d - stop(d). L is the detached Jacobian, so that k corrections make derivatives
exact to order k: an error of order e in v leaves one of order |delta z| e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..backend import Array, Backend, compiled
from ..kernels import solver_kernel, with_derivatives_of
from ..parameters import known_to
from .bipartite import Bipartite
from .matrices import Matrices
from .scaling import log_sweep, plan_of_columns, scale_columns

__all__ = ["Problem", "entropic_parts", "entropic_plan", "scaled_problem"]

# Derivatives are exact to this order.
_CORRECTIONS = 3


class Problem(NamedTuple):
    """Scores in units of the temperature, -inf where no mass may go, and live marginals."""

    z: Array
    start: Array  # row potentials that stand for 0 in terms of the caller's scores
    a: Array
    b: Array


def entropic_plan(
    given: Matrices,
    a: Array,
    b: Array,
    temperature: Any,
    sweeps: int,
    tol: float,
    gradient: str,
) -> Array:
    """Return the plan of `sinkhorn`, arguments checked and the temperature not 0."""
    problem = scaled_problem(given.backend, given.x, a, b, temperature)
    if gradient == "unrolled":
        return _unrolled(given.backend, problem, sweeps)
    return _implicit(given.backend, problem, sweeps, tol, constant=gradient == "none")


def scaled_problem(backend: Backend, x: Array, a: Array, b: Array, temperature: Any) -> Problem:
    """Return the problem with the largest score of every row and column near 0.

    Potentials absorb a shift of a row or column. What is left is of the size of differences of
    scores, so that rounding does not grow with scores far from 0.
    """
    xp = backend.namespace
    data, lowest = backend.stop_gradient(x), float("-inf")
    rows, columns = backend.stop_gradient(a) != 0, backend.stop_gradient(b) != 0
    masses = xp.logical_and(xp.expand_dims(rows, axis=-1), xp.expand_dims(columns, axis=-2))
    valid = xp.logical_and(data != lowest, masses)
    data = xp.where(valid, data, xp.full_like(data, lowest))
    of_columns = _top(xp, data, -2)
    of_rows = _top(xp, data - of_columns, -1)
    inside = xp.where(valid, x, xp.zeros_like(x))
    centred = xp.subtract(inside, xp.where(valid, of_columns + of_rows, xp.zeros_like(data)))
    z = xp.where(valid, xp.divide(centred, temperature), xp.full_like(data, lowest))
    if not isinstance(temperature, float):
        temperature = backend.stop_gradient(temperature)
    start = xp.squeeze(xp.divide(of_rows, temperature), axis=-1)
    return Problem(z, start, a, b)


def _top(xp: Any, data: Array, axis: int) -> Array:
    """Return the largest entry along `axis`, 0 if all are out."""
    top = xp.max(data, axis=axis, keepdims=True)
    return xp.where(top == float("-inf"), xp.zeros_like(top), top)


def _log_marginals(xp: Any, a: Array, b: Array) -> tuple[Array, Array]:
    """Return logarithms, 0 where there is no mass; those of b brought to the total of a.

    The plan does not change with a factor on b; it lets columns be compared with it.
    """
    none_a, none_b = a == 0, b == 0
    total_a, total_b = (xp.sum(x, axis=-1, keepdims=True) for x in (a, b))
    some = xp.logical_and(total_a > 0, total_b > 0)
    one = xp.ones_like(total_a)
    factor = xp.where(some, total_a, one) / xp.where(some, total_b, one)
    logs_a = xp.log(xp.where(none_a, xp.ones_like(a), a))
    logs_b = xp.log(xp.where(none_b, xp.ones_like(b), xp.multiply(b, factor)))
    return logs_a, logs_b


def _unrolled(backend: Backend, problem: Problem, sweeps: int) -> Array:
    """Return the plan after that many sweeps, all of them live."""
    log_a, log_b = _log_marginals(backend.namespace, problem.a, problem.b)

    def sweep(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return log_sweep(backend, problem.z, carry[0], log_a, log_b)

    start = problem.start, backend.namespace.zeros_like(problem.b)
    _, v = backend.fori_loop(0, sweeps, sweep, start)
    return plan_of_columns(backend, problem.z, problem.a, v)


def _implicit(
    backend: Backend, problem: Problem, sweeps: int, tol: float, *, constant: bool
) -> Array:
    """Return the plan of detached potentials, with derivatives unless it is to be a constant."""
    fixed = Problem(*(backend.stop_gradient(x) for x in problem))
    v, plan = (known_to(backend, part) for part in _solved(backend, *fixed, tol, sweeps))
    v, plan = backend.stop_gradient(v), backend.stop_gradient(plan)
    if constant or not _differentiates(backend):
        return plan

    def corrected(z: Array, a: Array, b: Array, v: Array, plan: Array) -> Array:
        fixed = backend.stop_gradient(v), backend.stop_gradient(plan)
        return _corrected(backend, problem._replace(z=z, a=a, b=b), *fixed)

    return with_derivatives_of(backend, plan, corrected, problem.z, problem.a, problem.b, v, plan)


def _differentiates(backend: Backend) -> bool:
    """Whether a derivative may be asked for: not of plain arrays of a library that has none."""
    return backend.native_autodiff or getattr(backend, "base", None) is not None


@compiled("max_iter")
def _solved(
    backend: Backend,
    z: Array,
    start: Array,
    a: Array,
    b: Array,
    tol: Array | float,
    max_iter: int,
) -> tuple[Array, Array]:
    """Return the column potentials and the plan: by the fast kernel where there is one."""
    fast = backend.kernel("sinkhorn_columns", z.dtype, backend.device_of(z))
    if fast is None:
        found: tuple[Array, Array] = solver_kernel(backend, entropic_parts)(
            z, start, a, b, tol, max_iter
        )
        return found
    xp = backend.namespace
    flat = xp.reshape(z, (*z.shape[:-2], z.shape[-2] * z.shape[-1]))
    v = fast(flat, start, *_log_marginals(xp, a, b), tol, max_iter)
    return v, plan_of_columns(backend, z, a, v)


def entropic_parts(
    backend: Backend,
    z: Array,
    start: Array,
    a: Array,
    b: Array,
    tol: Array | float,
    max_iter: int,
) -> tuple[Array, Array]:
    """Reference kernel: the column potentials and the plan."""
    log_a, log_b = _log_marginals(backend.namespace, a, b)
    v = scale_columns(backend, z, start, log_a, log_b, tol, max_iter)
    return v, plan_of_columns(backend, z, a, v)


def _corrected(backend: Backend, problem: Problem, v: Array, plan: Array) -> Array:
    """Return the plan at potentials v as a live function of scores and marginals."""
    xp = backend.namespace
    graph = Bipartite(backend, plan)
    wanted, reached = backend.stop_gradient(problem.b), xp.sum(plan, axis=-2)
    ratio = reached / xp.where(wanted == 0, xp.ones_like(wanted), wanted)
    goal = xp.multiply(problem.b, ratio)
    mass = graph.component_sums(goal)
    share = xp.divide(goal, xp.where(mass == 0, xp.ones_like(mass), mass))
    for _ in range(_CORRECTIONS):
        sums = xp.sum(plan_of_columns(backend, problem.z, problem.a, v), axis=-2)
        excess = xp.subtract(sums, xp.multiply(share, graph.component_sums(sums)))
        step = graph.solve(excess)
        v = xp.subtract(v, xp.subtract(step, backend.stop_gradient(step)))
    return plan_of_columns(backend, problem.z, problem.a, v)
