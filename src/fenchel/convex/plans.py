"""Sinkhorn's algorithm: entropic transport plans."""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice, check_number, float_info
from ..backend import Array
from .entropic_plan import entropic_plan
from .matrices import Matrices, check_marginals, marginal, matrix_temperature, open_matrices
from .vertices import transport_vertex

__all__ = ["sinkhorn"]


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
    [[0.827, 0.173], [0.392, 0.608], [0.281, 0.719]]
    >>> plan.sum(axis=0).round(6).tolist()
    [1.5, 1.5]
    """
    check_choice("gradient", gradient, ("implicit", "unrolled", "none"))
    given = open_matrices(scores, a, b, temperature, name="scores")
    sweeps = _sweeps(max_iter)
    tol = _tolerance(given, tol)
    temperature = matrix_temperature(given, temperature)
    a, b = _marginals(given, a, b)
    if isinstance(temperature, float) and temperature == 0.0:
        return given.close(transport_vertex(given, a, b))
    return given.close(entropic_plan(given, a, b, temperature, sweeps, tol, gradient))


def _sweeps(max_iter: int) -> int:
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
    return float((info.eps if info is not None else 0.0) ** (2 / 3))


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
