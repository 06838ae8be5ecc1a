"""Relaxed top-k: keep the k largest entries and zero the rest, sparsely and differentiably."""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice
from ..backend import backend_of
from ..convex.magnitude import magnitude_formula
from ..convex.thresholds import conjugate_exponent, hard_mask
from ._arguments import Prepared, finish, prepare, temperature_of, with_temperature
from ._topk_info import TopKInfo, finish_info, magnitude_info, mask_info
from ._topk_limits import flat_magnitude
from ._topk_solvers import check_solver, solve_magnitude, solve_mask
from .topk_mask import check_k, check_p, plain_mask

__all__ = ["topk"]

Array = Any

_INF = float("inf")
KINDS = ("magnitude", "positive", "gated")


def topk(
    x: Array,
    /,
    k: Any,
    *,
    temperature: Any = 1.0,
    p: float = 2.0,
    kind: str = "magnitude",
    debias: bool = True,
    axis: int = -1,
    where: Array | None = None,
    solver: str = "auto",
    max_iter: int | None = None,
    return_info: bool = False,
) -> Any:
    r"""Relaxed top-k: a sparse vector that keeps about k entries of `x`.

    "magnitude" relaxes the map to the k entries of largest size: the gradient of
    :math:`f(x) = \min_u R^*(x - u) + \tfrac12 \|u\|_{(k)}^2`, where the last term sums the k
    largest squares and :math:`R(y) = \frac{l}{p} \sum_i |y_i|^p` with temperature l. With p = 2
    the result is the hard one exactly when the k-th size is at least (1 + l) times the next.
    "positive" is the same on max(x, 0); "gated" is x times `topk_mask(x)`.

    Parameters
    ----------
    x : array (..., n)
        Values of a real floating dtype.
    k : number or array (..., 1)
        How many, in [0, n]; may be fractional and is differentiated if an array.
    temperature : number or array (..., 1)
        Strength l >= 0 of the regularizer; 0 is the hard operator. At inf the debiased form is `x`
        itself (0 for k = 0), the raw one 0, and "gated" k/n times `x`.
    p : float
        Exponent in (1, 2].
    kind : {"magnitude", "positive", "gated"}
        Which entries count as large, as above.
    debias : bool
        Whether kept entries are returned exactly ("debiased"), or shrunk by the regularizer
        ("raw": with p = 2 a kept entry is x/(1 + l)). "gated" has no such choice.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; `k` is clamped to their number, the others give 0.
    solver : {"auto", "threshold", "pav", "dykstra"}
        How the solution is found. "auto" is "threshold": one root, no sort. "dykstra" needs p = 2.
    max_iter : int, optional
        Full cycles of "dykstra".
    return_info : bool
        Whether to return a `TopKInfo` too.

    Returns
    -------
    y : array (..., n)
        Sparse vector of the dtype of `x`.
    info : TopKInfo
        Only with `return_info`.

    Raises
    ------
    TypeError
        If `x` is not a floating array, or arrays of two libraries are mixed.
    ValueError
        If `k` is outside [0, n], `temperature` is negative, `p` is outside (1, 2], `kind` or
        `solver` is unknown, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `k` and `temperature`, to every order for p = 2 and to order three for
    other p, wherever the support is locally constant. The debiased form has a kink at the edge of
    the support for every p. If k is at least the number of nonzeros, the result is `x` itself.
    Source: arXiv 2302.01425.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import topk
    >>> x = np.asarray([3.0, -1.0, 0.5, -2.0])
    >>> topk(x, 2, temperature=0.1)
    array([ 3.,  0.,  0., -2.])
    >>> topk(x, 2, temperature=4.0).round(3)
    array([ 3.   , -0.625,  0.   , -1.875])
    """
    check_choice("kind", kind, KINDS)
    ready = prepare(
        x, axis, where, (k, temperature), masked=float("-inf") if kind == "gated" else 0.0
    )
    backend = ready.backend
    k = check_k(backend, k, x, ready.axis)
    temperature = temperature_of(backend, temperature, x, ready.axis)
    p = check_p(p)
    if kind == "positive":
        xp = backend.namespace
        scores = ready.x
        ready = ready._replace(x=xp.where(scores <= 0, xp.zeros_like(scores), scores))
    if return_info or solver not in ("auto", "threshold"):
        check_solver(solver, p)
        solve = _solve_gated if kind == "gated" else _solve_magnitude
        found = solve(ready, k, temperature, p, debias, solver, max_iter)
        return found if return_info else found[0]
    if kind == "gated":
        mask = plain_mask(backend, ready.x, k, temperature, conjugate_exponent(p))
        return finish(ready, _gate(backend, ready.x, mask))
    return finish(ready, plain_magnitude(backend, ready.x, k, temperature, p, debias))


def plain_magnitude(
    backend: Any, x: Array, k: Any, temperature: Any, p: float, debias: bool
) -> Array:
    """Top-k in magnitude of prepared values: fused where a kernel serves, else by the formula."""
    if type(k) is float and type(temperature) is float and 0.0 < temperature < _INF:
        apply = backend.fused("topk_magnitude", x)
        if apply is not None:
            return apply(
                lambda x: magnitude_formula(backend_of(x), x, k, temperature, p, debias=debias)[0],
                x,
                (k, temperature, p, float(debias)),
            )
    return with_temperature(
        backend,
        temperature,
        lambda positive: magnitude_formula(backend, x, k, positive, p, debias=debias)[0],
        lambda: _hard(backend, x, k),
        lambda: flat_magnitude(backend, x, k, debias),
    )


def _hard(backend: Any, x: Array, k: Any) -> Array:
    """Hard top-k in magnitude; entries of size 0 are never kept."""
    xp = backend.namespace
    mask = hard_mask(backend, xp.abs(backend.stop_gradient(x)), k)
    return xp.where(mask == 0, xp.zeros_like(x), x * mask)  # and not -0


def _gate(backend: Any, x: Array, mask: Array) -> Array:
    """Return x * mask, 0 where the mask is 0 even if x is infinite there."""
    xp = backend.namespace
    out = backend.stop_gradient(x) == float("-inf")
    return xp.where(out, xp.zeros_like(x), x) * mask


def _solve_gated(
    ready: Prepared,
    k: Any,
    temperature: Any,
    p: float,
    debias: bool,
    solver: str,
    max_iter: int | None,
) -> tuple[Array, TopKInfo]:
    backend, x = ready.backend, ready.x
    found = solve_mask(backend, x, k, temperature, conjugate_exponent(p), solver, max_iter)
    info = mask_info(backend, x, k, temperature, p, found)
    mask = with_temperature(
        backend, temperature, lambda _: found.y, lambda: hard_mask(backend, x, k)
    )
    return finish(ready, _gate(backend, x, mask)), finish_info(ready, info)


def _solve_magnitude(
    ready: Prepared,
    k: Any,
    temperature: Any,
    p: float,
    debias: bool,
    solver: str,
    max_iter: int | None,
) -> tuple[Array, TopKInfo]:
    backend, x = ready.backend, ready.x
    found = solve_magnitude(backend, x, k, temperature, p, solver, max_iter, debias)
    info = magnitude_info(backend, backend.namespace.abs(x), k, temperature, p, found)
    y = with_temperature(backend, temperature, lambda _: found.y, lambda: _hard(backend, x, k))
    return finish(ready, y), finish_info(ready, info)
