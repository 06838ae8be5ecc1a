"""The relaxed top-k mask: which entries are the k largest, as a sparse differentiable vector."""

from __future__ import annotations

from numbers import Real
from typing import Any

from ..arrays import check_number
from ..backend import backend_of
from ..convex.thresholds import conjugate_exponent, hard_mask, mask_formula
from ..parameters import row_parameter
from ._arguments import Prepared, finish, prepare, temperature_of, with_temperature
from ._topk_info import TopKInfo, finish_info, mask_info
from ._topk_limits import flat_mask
from ._topk_solvers import check_solver, solve_mask

__all__ = ["check_k", "check_p", "plain_mask", "topk_mask"]

_INF = float("inf")

Array = Any


def topk_mask(
    x: Array,
    /,
    k: Any,
    *,
    temperature: Any = 1.0,
    p: float = 2.0,
    axis: int = -1,
    where: Array | None = None,
    solver: str = "auto",
    max_iter: int | None = None,
    return_info: bool = False,
) -> Any:
    r"""Relaxed mask of the k largest entries: sparse, in [0, 1], summing to k.

    Solves :math:`\max_{y \in [0,1]^n, \sum y = k} \langle x, y \rangle - \frac{l}{p} \sum_i y_i^p`
    with temperature l, whose solution is
    :math:`y_i = \mathrm{clip}((x_i - \tau)/l, 0, 1)^{q-1}`, q = p/(p-1). It equals the hard mask
    exactly when the k-th gap of the sorted scores is at least l.

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype. Entries of -inf get 0, up to k entries of +inf get 1.
    k : number or array (..., 1)
        How many, in [0, n]; may be fractional and is differentiated if an array.
    temperature : number or array (..., 1)
        Strength l >= 0 of the regularizer, in units of `x`; 0 is the hard mask, inf the
        flat one, k/n everywhere.
    p : float
        Exponent in (1, 2]: 2 is piecewise linear, 4/3 smooth where entries leave the support.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; `k` is clamped to their number.
    solver : {"auto", "threshold", "pav", "dykstra"}
        How the solution is found. "auto" is "threshold": one root, no sort. "dykstra" needs p = 2.
    max_iter : int, optional
        Full cycles of "dykstra".
    return_info : bool
        Whether to return a `TopKInfo` too.

    Returns
    -------
    y : array (..., n)
        The mask, of the dtype of `x`.
    info : TopKInfo
        Only with `return_info`.

    Raises
    ------
    TypeError
        If `x` is not a floating array, or arrays of two libraries are mixed.
    ValueError
        If `k` is outside [0, n], `temperature` is negative, `p` is outside (1, 2], or the axis is
        empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `k` and `temperature`, to every order for p = 2 and to order three for
    other p, wherever the support is locally constant; at the edge of the support one of the two
    one-sided derivatives is returned. At infinite temperature those in `x` and `temperature` are
    0. Equal scores get equal values. The cost is a few passes over the row. Source: arXiv
    2302.01425; with p = 2 it is the SparseK of arXiv 2406.16747.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import topk_mask
    >>> topk_mask(np.asarray([3.0, 1.0, 0.5, 2.0]), 2, temperature=2.0)
    array([1.  , 0.25, 0.  , 0.75])
    """
    ready = prepare(x, axis, where, (k, temperature))
    backend = ready.backend
    k = check_k(backend, k, x, ready.axis)
    temperature = temperature_of(backend, temperature, x, ready.axis)
    p = check_p(p)
    if return_info or solver not in ("auto", "threshold"):
        check_solver(solver, p)
        found = _solve(ready, k, temperature, p, solver, max_iter)
        return found if return_info else found[0]
    return finish(ready, plain_mask(backend, ready.x, k, temperature, conjugate_exponent(p)))


def plain_mask(backend: Any, x: Array, k: Any, temperature: Any, q: float) -> Array:
    """Mask of prepared scores: fused where a kernel serves, by the formula elsewhere."""
    if type(k) is float and type(temperature) is float and 0.0 < temperature < _INF:
        apply = backend.fused("topk_mask", x)
        if apply is not None:
            return apply(
                lambda x: mask_formula(backend_of(x), x, k, temperature, q)[0],
                x,
                (k, temperature, q),
            )
    return with_temperature(
        backend,
        temperature,
        lambda positive: mask_formula(backend, x, k, positive, q)[0],
        lambda: hard_mask(backend, x, k),
        lambda: flat_mask(backend, x, k),
    )


def _solve(
    ready: Prepared, k: Any, temperature: Any, p: float, solver: str, max_iter: int | None
) -> tuple[Array, TopKInfo]:
    """Return the mask by a named solver, and its parts."""
    backend, x = ready.backend, ready.x
    found = solve_mask(backend, x, k, temperature, conjugate_exponent(p), solver, max_iter)
    info = mask_info(backend, x, k, temperature, p, found)
    y = with_temperature(backend, temperature, lambda _: found.y, lambda: hard_mask(backend, x, k))
    return finish(ready, y), finish_info(ready, info)


def check_k(backend: Any, k: Any, x: Array, axis: int) -> Any:
    """Return the budget as a number in [0, n] or an array (..., 1)."""
    n = x.shape[axis]
    if type(k) is int and 0 <= k <= n:
        return float(k)
    if isinstance(k, Real) and not 0 <= float(k) <= n:
        raise ValueError(f"`k` must be in [0, n]; got k={float(k):g} with n={n}")
    return row_parameter(backend, "k", k, x, axis)


def check_p(p: float) -> float:
    """Return the exponent of the regularizer, in (1, 2]."""
    return 2.0 if p == 2.0 else check_number("p", p, above=1.0, maximum=2.0)
