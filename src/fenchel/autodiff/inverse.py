"""Solutions of linear systems with a Hessian, by conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..loops import while_loop
from ..trees import axpy, dot, scale, zeros_like
from .arguments import as_primals, match
from .curvature import hvp

__all__ = ["InverseInfo", "inverse_hvp"]


class InverseInfo(NamedTuple):
    """How a solve ended: steps taken, norm of the residual, whether curvature was not positive."""

    iterations: Any
    residual: Any
    indefinite: Any


def inverse_hvp(
    f: Callable[[Any], Any],
    x: Any,
    b: Any,
    *,
    damping: float = 0.0,
    max_iter: int = 100,
    rtol: float = 1e-8,
    mode: str = "forward_over_reverse",
    return_info: bool = False,
) -> Any:
    """Return the solution v of (Hessian + damping) v = b by conjugate gradients.

    Parameters
    ----------
    f
        Function from a container of arrays to an array of shape ().
    x
        Where the Hessian is taken; it must be positive definite there, with the damping.
    b
        Right-hand side, shaped like `x`.
    damping
        Added to the diagonal.
    max_iter
        Bound on the steps, each with one Hessian product.
    rtol
        Stop when the residual is below `rtol` times the norm of `b`.
    mode
        As for `hvp`.
    return_info
        Whether to return `(v, InverseInfo)`.

    Returns
    -------
    container
        Shaped like `x`. A direction of non-positive curvature ends the iteration at the point
        reached, and is reported in the info.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating.
    ValueError
        If `b` differs from `x` in structure or shapes.

    Notes
    -----
    *Derivatives*: those of the iterations (forward mode only under JAX tracing); see
    `fenchel.implicit` for the implicit derivative.

    References
    ----------
    M. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", Journal
    of Research of the National Bureau of Standards 49 (1952).

    Examples
    --------
    >>> import numpy as np
    >>> x, b = np.asarray([1.0, 2.0]), np.asarray([6.0, 12.0])
    >>> inverse_hvp(lambda x: np.sum(x**3), x, b).round(12).tolist()
    [1.0, 1.0]
    """
    backend, (x,) = as_primals((x,))
    b = match(backend, "b", b, x)
    xp = backend.namespace

    def product(v: Any) -> Any:
        curved = hvp(f, x, v, mode=mode)
        return axpy(damping, v, curved) if damping else curved

    size = dot(b, b)
    zero = xp.zeros_like(size)

    def going(state: Any) -> Any:
        _, _, _, square, count, indefinite = state
        # A NaN residual fails the comparison: the loop ends on it too.
        return (square > rtol**2 * size) & (count < max_iter) & (indefinite == 0)

    def step(state: Any) -> Any:
        v, residual, direction, square, count, _ = state
        image = product(direction)
        curvature = dot(direction, image)
        good = curvature > 0
        length = xp.where(good, square / xp.where(good, curvature, zero + 1.0), zero)
        v = axpy(length, direction, v)
        residual = axpy(-length, image, residual)
        fresh = dot(residual, residual)
        direction = axpy(fresh / square, direction, residual)
        return v, residual, direction, fresh, count + 1.0, xp.where(good, zero, zero + 1.0)

    start = (zeros_like(b), scale(1.0, b), scale(1.0, b), size, zero, zero)
    v, _, _, square, count, indefinite = while_loop(going, step, start)
    info = InverseInfo(count, xp.sqrt(square), indefinite > 0)
    return (v, info) if return_info else v
