"""Transport plans with few entries a column."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import check_choice, check_integer, check_number, float_info
from ..backend import Array, Backend
from ..kernels import solver_kernel
from ..parameters import known_to
from .euclidean_plan import plan_on_support
from .matrices import Matrices, matrix_temperature, open_matrices
from .sparse_semidual import adam_potentials, lbfgs_potentials

__all__ = ["SparsePlan", "sparse_plan", "sparse_plan_parts"]

_SOLVERS = {"adam": (adam_potentials, 20), "lbfgs": (lbfgs_potentials, 100)}


class SparsePlan(NamedTuple):
    """A plan, and how far it is from a solution; one number a matrix."""

    plan: Array  # (..., n, m)
    gap: Array  # (...,)
    marginal_error: Array  # (...,)


class SparsePlanParts(NamedTuple):
    """What `sparse_plan_parts` finds: constants, but for the plan."""

    plan: Array
    ranking: Array  # (..., n, m): orders each column as the plan does, and goes on where it is 0
    value: Array  # of the dual
    gap: Array
    marginal_error: Array


def sparse_plan(
    scores: Array,
    max_nonzeros: int,
    /,
    *,
    temperature: Array | float = 1.0,
    solver: str = "lbfgs",
    max_iter: int | None = None,
) -> SparsePlan:
    r"""Return a transport plan whose columns have at most `max_nonzeros` entries.

    It approaches the maximiser T of <T, scores> - temperature / 2 |T|^2 over matrices T >= 0 with
    row sums 1, equal column sums, and that many entries a column. The problem is not convex; what
    is solved is its semi-dual in potentials of the rows, which is.

    Parameters
    ----------
    scores
        Real floating array of shape (..., n, m). Entries of -inf get no mass: rows of only -inf are
        masked, columns of only -inf disabled.
    max_nonzeros
        Entries of a column at most, in [1, n].
    temperature
        Strength of the quadratic term, above 0: a number, or an array of shape () or (..., 1, 1).
    solver
        "lbfgs", or "adam" with steps of 0.01 (times the temperature) from 0.
    max_iter
        Iterations of the solver: 100 of "lbfgs" or 20 of "adam" by default.

    Returns
    -------
    plan
        Like `scores`. Its column sums are right up to rounding.
    gap
        Distance of the plan's objective from the dual value, which bounds the maximum from above;
        of shape (...,). A plan of the right row sums is a solution where it is 0.
    marginal_error
        Largest error of a row sum, of shape (...,).

    Raises
    ------
    TypeError
        If an argument is no array with a real floating dtype.
    ValueError
        If an axis is empty, or an option is out of range.

    Notes
    -----
    The plan of the best potentials misses row sums unless the largest `max_nonzeros` entries of
    every column are unique there. With n / m entries a column they are as a rule, and the plan is
    the balanced assignment; with more there is a gap as a rule, and rows are off by up to 0.5. Use
    the plan as a ranking, and look at the two diagnostics.

    Each iteration sorts the columns, O(n m log n).

    *Derivatives*: in `scores` and an array `temperature`, to every order: those of the plan on its
    support, with the row sums that it has. `gap` and `marginal_error` are constants.

    References
    ----------
    Liu, Puigcerver and Blondel (2023), arXiv:2209.15466.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import sparse_plan
    >>> scores = np.asarray([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    >>> plan, gap, marginal_error = sparse_plan(scores, 2)
    >>> plan.round(3).tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> bool(gap < 1e-6), bool(marginal_error < 1e-6)
    (True, True)
    """
    given = open_matrices(scores, temperature, name="scores")
    found = sparse_plan_parts(given, max_nonzeros, temperature, solver, max_iter)
    return SparsePlan(*(given.close(x) for x in (found.plan, found.gap, found.marginal_error)))


def sparse_plan_parts(
    given: Matrices,
    max_nonzeros: int,
    temperature: Array | float,
    solver: str,
    max_iter: int | None,
    *,
    constant: bool = False,
) -> SparsePlanParts:
    """Return the plan of `sparse_plan` with all that is known of it; options are checked here."""
    check_choice("solver", solver, tuple(_SOLVERS))
    backend, x = given.backend, given.x
    n = x.shape[-2]
    max_nonzeros = check_integer("max_nonzeros", max_nonzeros, minimum=1, maximum=n)
    temperature = matrix_temperature(given, temperature)
    if isinstance(temperature, float):
        check_number("temperature", temperature, above=0.0)
    solve, iterations = _SOLVERS[solver]
    if max_iter is not None:
        iterations = check_integer("max_iter", max_iter, minimum=1)
    xp = backend.namespace
    z = xp.divide(x, temperature)
    data = backend.stop_gradient(z)
    a, b = _marginals(backend, data)
    ranks = xp.arange(1, max_nonzeros + 1, dtype=data.dtype, device=backend.device_of(data))
    parts = solver_kernel(backend, solve)(data, a, b, ranks, iterations)
    plan, ranking, value, gap, error = (backend.stop_gradient(part) for part in parts)
    strength = temperature if isinstance(temperature, float) else temperature[..., 0, 0]
    strength = backend.stop_gradient(strength) if not isinstance(strength, float) else strength
    live = known_to(backend, plan) if constant else _differentiable(backend, z, plan, b)
    return SparsePlanParts(
        live, ranking, xp.multiply(value, strength), xp.multiply(gap, strength), error
    )


def _marginals(backend: Backend, data: Array) -> tuple[Array, Array]:
    """Return row sums of 1 and equal column sums, 0 for rows and columns of only -inf."""
    xp = backend.namespace
    inside = data != float("-inf")
    a = xp.astype(xp.any(inside, axis=-1), data.dtype)
    used = xp.astype(xp.any(inside, axis=-2), data.dtype)
    count = xp.sum(used, axis=-1, keepdims=True)
    share = xp.sum(a, axis=-1, keepdims=True) / xp.where(count > 0, count, xp.ones_like(count))
    return a, used * share


def _differentiable(backend: Backend, z: Array, plan: Array, b: Array) -> Array:
    """Return the plan with the derivatives of the projection on its support."""
    if not backend.native_autodiff and getattr(backend, "base", None) is None:
        return plan
    xp = backend.namespace
    info = float_info(plan.dtype)
    least = 8 * (info.eps if info is not None else 0.0)
    support = xp.astype(plan > least, plan.dtype)
    rows = known_to(backend, xp.sum(plan, axis=-1))
    live = plan_on_support(backend, z, rows, known_to(backend, b), known_to(backend, support))
    return xp.add(known_to(backend, plan), xp.subtract(live, backend.stop_gradient(live)))
