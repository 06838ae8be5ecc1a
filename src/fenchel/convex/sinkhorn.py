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

from ..arrays import check_choice, check_number, float_info
from ..backend import Array, Backend, solver_kernel
from ..parameters import known_to
from .bipartite import Bipartite
from .matrices import (
    Matrices,
    check_marginals,
    marginal,
    matrix_temperature,
    open_matrices,
)
from .scaling import log_sweep, plan_of_columns, scale_columns
from .vertices import transport_vertex

__all__ = ["sinkhorn"]

# Derivatives are exact to this order.
_CORRECTIONS = 3


class _Problem(NamedTuple):
    """Scores in units of the temperature, -inf where no mass may go, and live marginals."""

    z: Array
    start: Array  # row potentials that stand for 0 in terms of the caller's scores
    a: Array
    b: Array


def sinkhorn(
    scores: Array,
    /,
    a: Array | None = None,
    b: Array | None = None,
    *,
    temperature: Array | float = 1.0,
    max_iter: int = 1000,
    tol: float | None = None,
    gradient: str = "implicit",
) -> Array:
    r"""Return the entropic transport plan of the scores.

    It is the maximiser P of <P, scores> - temperature * sum P log P over the non-negative matrices
    with row sums `a` and column sums `b`, approached by Sinkhorn's iteration in the log domain.

    Parameters
    ----------
    scores
        Real floating array of shape (..., n, m); entries of -inf get no mass.
    a
        Row sums, of shape (..., n); a row with sum 0 is masked. By default 1, and 0 for rows of
        only -inf; if `b` is given, the total of `b` shared equally by the other rows.
    b
        Column sums, of shape (..., m). By default the total of `a` shared equally by the columns,
        those of only -inf (disabled experts) left out.
    temperature
        Strength of the entropy: a number, or an array of shape () or (..., 1, 1). At the number 0
        the plan is a solution of the linear program (see `Transport.linear_argmax`), a constant
        for derivatives; arrays must be positive.
    max_iter
        Number of sweeps at most, 1 or more. A sweep updates columns first and rows last, so that
        rows are exact after any number.
    tol
        A problem is done when its column sums are within this of `b`, relatively. At 0 there are
        exactly `max_iter` sweeps. By default the machine epsilon to the power 2/3.
    gradient
        "implicit": derivatives of the plan that solves the problem for the column sums it has.
        "unrolled": those of the sweeps themselves, always `max_iter` of them. "none": a constant.

    Returns
    -------
    array
        The plan, like `scores`; its rows sum to `a` up to rounding.

    Raises
    ------
    TypeError
        If an argument is no array of one library with a real floating dtype.
    ValueError
        If an axis is empty, a shape does not broadcast, an option is out of range, a marginal has
        a negative entry, or the totals of `a` and `b` differ by more than one percent. The values
        of marginals are looked at where they are known, not under jit, compile or vmap.

    Notes
    -----
    O(n m) a sweep. The number of sweeps grows like spread / temperature where scores are far apart.

    If the totals of `a` and `b` differ, or the pattern of -inf leaves some rows and columns to
    themselves, the columns get the mass of their rows in the proportions of `b`. Rows and columns
    that are left without entries get 0, whatever their sums. A NaN or +inf score makes its problem
    NaN and leaves the others of the batch alone.

    *Derivatives*: in `scores`, `a`, `b` and an array `temperature`. "implicit" costs three more
    passes and one inverse of size min(n, m), whatever the number of sweeps, and holds to order
    three. It equals "unrolled" at convergence. If the sweeps are stopped early it is the derivative
    of a plan that is exact for the rows `a` and the columns reached, b * r, where the ratio r is
    held constant. "unrolled" is exact to every order.

    References
    ----------
    Cuturi (2013), arXiv:1306.0895; Peyré and Cuturi (2019), "Computational optimal transport".

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import sinkhorn
    >>> scores = np.asarray([[2.0, 0.0], [1.0, 1.0], [0.0, 0.5]])
    >>> plan = sinkhorn(scores)
    >>> plan.round(3).tolist()
    [[0.837, 0.163], [0.411, 0.589], [0.252, 0.748]]
    >>> plan.sum(axis=0).round(6).tolist()
    [1.5, 1.5]
    """
    check_choice("gradient", gradient, ("implicit", "unrolled", "none"))
    given = open_matrices(scores, -1, a, b, temperature, name="scores")
    backend = given.backend
    sweeps = check_sweeps(max_iter)
    tol = _tolerance(given, tol)
    temperature = matrix_temperature(given, temperature)
    a, b = _marginals(given, a, b)
    if isinstance(temperature, float) and temperature == 0.0:
        return given.close(transport_vertex(given, a, b))
    problem = _scaled(backend, given.x, a, b, temperature)
    if gradient == "unrolled":
        return given.close(_unrolled(backend, problem, sweeps))
    plan = _implicit(backend, problem, sweeps, tol, constant=gradient == "none")
    return given.close(plan)


def check_sweeps(max_iter: int) -> int:
    """Return the number of sweeps, checked."""
    if isinstance(max_iter, bool) or not hasattr(max_iter, "__index__"):
        raise TypeError(f"`max_iter` must be an integer; got {max_iter!r}")
    if max_iter < 1:
        raise ValueError(f"`max_iter` must be at least 1; got {max_iter}")
    return max_iter.__index__()


def _tolerance(given: Matrices, tol: float | None) -> float:
    if tol is not None:
        return check_number("tol", tol, minimum=0.0)
    info = float_info(given.x.dtype)
    return (info.eps if info is not None else 0.0) ** (2 / 3)


def _marginals(given: Matrices, a: Array | None, b: Array | None) -> tuple[Array, Array]:
    """Return the marginals, with defaults that respect rows and columns of only -inf."""
    backend, x = given.backend, given.x
    xp = backend.namespace
    n, m = x.shape[-2:]
    out = backend.stop_gradient(x) == float("-inf")
    if a is not None:
        a = marginal(given, "a", a, n)
    if b is not None:
        b = marginal(given, "b", b, m)
    if a is not None and b is not None:
        check_marginals(given, a, b)
        return a, b
    if a is None:
        rows = xp.astype(~xp.all(out, axis=-1), x.dtype)
        a = rows if b is None else _shared(xp, b, rows)
    if b is None:
        masked = xp.expand_dims(backend.stop_gradient(a) == 0, axis=-1)
        columns = xp.astype(~xp.all(xp.logical_or(out, masked), axis=-2), x.dtype)
        b = _shared(xp, a, columns)
    check_marginals(given, a, b)
    return a, b


def _shared(xp: Any, mass: Array, present: Array) -> Array:
    """Return the total of `mass` shared equally by the entries that are present."""
    count = xp.sum(present, axis=-1, keepdims=True)
    share = present / xp.where(count > 0, count, xp.ones_like(count))
    return xp.multiply(xp.sum(mass, axis=-1, keepdims=True), share)


def _scaled(backend: Backend, x: Array, a: Array, b: Array, temperature: Any) -> _Problem:
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
    return _Problem(z, start, a, b)


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


def _unrolled(backend: Backend, problem: _Problem, sweeps: int) -> Array:
    """Return the plan after that many sweeps, all of them live."""
    log_a, log_b = _log_marginals(backend.namespace, problem.a, problem.b)

    def sweep(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return log_sweep(backend, problem.z, carry[0], log_a, log_b)

    start = problem.start, backend.namespace.zeros_like(problem.b)
    _, v = backend.fori_loop(0, sweeps, sweep, start)
    return plan_of_columns(backend, problem.z, problem.a, v)


def _implicit(
    backend: Backend, problem: _Problem, sweeps: int, tol: float, *, constant: bool
) -> Array:
    """Return the plan of detached potentials, with derivatives unless it is to be a constant."""
    fixed = _Problem(*(backend.stop_gradient(x) for x in problem))
    solve = solver_kernel(backend, entropic_parts)
    v, plan = (known_to(backend, part) for part in solve(*fixed, tol, sweeps))
    v, plan = backend.stop_gradient(v), backend.stop_gradient(plan)
    if constant or not _differentiates(backend):
        return plan
    return corrected_plan(backend, problem, v, plan)


def _differentiates(backend: Backend) -> bool:
    """Whether a derivative may be asked for: not of plain arrays of a library that has none."""
    return backend.native_autodiff or getattr(backend, "base", None) is not None


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


def corrected_plan(backend: Backend, problem: _Problem, v: Array, plan: Array) -> Array:
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
