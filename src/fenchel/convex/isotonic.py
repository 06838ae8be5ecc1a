"""Isotonic regression: the monotone sequence closest to the data."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

from ..arrays import (
    axis_back,
    axis_last,
    check_axis,
    check_choice,
    check_dtype,
    check_number,
    widen,
)
from ..backend import Array, Backend, backend_of
from ..parameters import check_array, known_to, row_parameter
from .dykstra import enough_cycles
from .fits import dykstra_fit, fused_fit, kl_fit, pnorm_fit, squared_fit

__all__ = ["IsotonicInfo", "isotonic_regression"]

# Relative to the range of the row: what the rounding of a cycle leaves reachable.
_TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


class IsotonicInfo(NamedTuple):
    """How an isotonic fit came about.

    Attributes
    ----------
    blocks
        int32 (..., n): for each entry, the place along `axis` of the first entry of its block.
    iterations
        int32 (...): cycles that Dykstra's algorithm took; 0 for pool adjacent violators.
    residual
        (...): greatest violation of the order, or last change if that is larger.
    converged
        bool (...): whether the residual is within the tolerance.
    """

    blocks: Array
    iterations: Array
    residual: Array
    converged: Array


@overload
def isotonic_regression(
    y: Array,
    /,
    *,
    weights: Array | None = ...,
    increasing: bool = ...,
    loss: str = ...,
    p: float = ...,
    lower: Array | float | None = ...,
    upper: Array | float | None = ...,
    axis: int = ...,
    solver: str = ...,
    max_iter: int | None = ...,
    tol: float | None = ...,
    return_info: Literal[False] = ...,
) -> Array: ...


@overload
def isotonic_regression(
    y: Array,
    /,
    *,
    weights: Array | None = ...,
    increasing: bool = ...,
    loss: str = ...,
    p: float = ...,
    lower: Array | float | None = ...,
    upper: Array | float | None = ...,
    axis: int = ...,
    solver: str = ...,
    max_iter: int | None = ...,
    tol: float | None = ...,
    return_info: Literal[True],
) -> tuple[Array, IsotonicInfo]: ...


def isotonic_regression(
    y: Array,
    /,
    *,
    weights: Array | None = None,
    increasing: bool = True,
    loss: str = "squared",
    p: float = 2.0,
    lower: Array | float | None = None,
    upper: Array | float | None = None,
    axis: int = -1,
    solver: str = "auto",
    max_iter: int | None = None,
    tol: float | None = None,
    return_info: bool = False,
) -> Any:
    r"""Fit a monotone sequence to each row of `y`.

    The fit minimises a separable loss over v_1 <= ... <= v_n (or >=). It is constant on blocks of
    adjacent entries, and the value of a block is the minimiser of the loss over that block:

    - "squared": the weighted mean, for sum w (y - v)^2 / 2;
    - "kl": logsumexp(y) - logsumexp(w), for sum e^(y - v) + e^w v, `weights` being logarithms;
    - "pnorm": the minimiser of ``sum w |y - v|^p / p``.

    Parameters
    ----------
    y
        Data, real floating of shape (..., n).
    weights
        Weights, broadcastable to `y`, not negative; logarithms for "kl". An entry of weight 0 takes
        the value of a neighbour. By default 1 (0 for "kl").
    increasing
        Whether the fit is non-decreasing or non-increasing.
    loss
        "squared", "kl" or "pnorm".
    p
        Exponent of "pnorm", above 1.
    lower, upper
        Bounds on the fit, numbers or arrays with one value a row (size 1 along `axis`). The bounded
        optimum is the fit clipped to the bounds.
    axis
        Axis along which the fit is monotone; the others are batch.
    solver
        "pav" (pool adjacent violators, also "auto") or "dykstra", for "squared" only: alternating
        projections on pairs, kept for comparison.
    max_iter
        Most full cycles of Dykstra's algorithm. By default enough for a block of all entries, as
        long as that is within 1e5 cycles or 2e8 steps.
    tol
        Dykstra's algorithm stops when the greatest violation and the last change are below it. By
        default 1e-12 times the range of the row in float64, 1e-6 in float32.
    return_info
        Whether to return an `IsotonicInfo` too.

    Returns
    -------
    fit : array
        Like `y`.
    info : IsotonicInfo
        Only with ``return_info=True``.

    Raises
    ------
    TypeError
        If `y`, `weights` or a bound is no array of one library with a real floating dtype.
    ValueError
        If an option is unknown or out of range, a shape does not broadcast, or `axis` is empty.

    Notes
    -----
    *Derivatives*: in `y`, `weights`, `lower` and `upper`, to every order ("pnorm": to the third),
    on every library; at a tie between blocks, those of the blocks unmerged; where the fit meets a
    bound, those of the fit. A row that Dykstra's algorithm leaves unconverged has the last iterate
    as its value and the derivatives of the pairs active in it, and `converged` says so.

    O(n) a row with a fast kernel. Block sums are centred, so float32 keeps its accuracy under
    large offsets and in blocks of 1e5 entries. A row with a NaN is NaN.

    References
    ----------
    Best, Chakravarti and Ubhaya (2000), "Minimizing separable convex functions subject to simple
    chain constraints"; Blondel, Teboul, Berthet and Djolonga (2020), arXiv:2002.08871.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import isotonic_regression
    >>> isotonic_regression(np.asarray([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]
    >>> fit, info = isotonic_regression(
    ...     np.asarray([3.0, 1.0, 2.0]), weights=np.asarray([1.0, 3.0, 1.0]), return_info=True
    ... )
    >>> fit.tolist(), info.blocks.tolist()
    ([1.5, 1.5, 2.0], [0, 0, 2])
    """
    check_choice("loss", loss, ("squared", "kl", "pnorm"))
    check_choice("solver", solver, ("auto", "pav", "dykstra"))
    if solver == "dykstra" and loss != "squared":
        raise ValueError(f"`solver` 'dykstra' needs `loss` 'squared'; got loss={loss!r}")
    given = [value for value in (weights, lower, upper) if value is not None]
    backend = backend_of(y, *given)
    xp = backend.namespace
    float_type = check_dtype("y", y)
    axis = check_axis(axis, y, "y")
    bounds = _bounds(backend, lower, upper, y, axis)
    rows = widen(xp, axis_last(xp, known_to(backend, y), axis), float_type)
    row_weights = _row_weights(backend, weights, y, rows, axis)
    if solver == "dykstra":
        limit, threshold = _dykstra_limits(backend, rows, max_iter, tol)
        found = dykstra_fit(backend, rows, row_weights, increasing, limit, threshold)
        fit, ids, status = found.fit, found.ids, found[2:]
    elif loss == "squared" and weights is None and not return_info:
        return _finish(xp, fused_fit(backend, rows, increasing), bounds, y, axis)
    else:
        fit, ids = _pooled_fit(backend, rows, row_weights, increasing, loss, p)
        status = _pooled_status(backend, fit, increasing)
    fit = _finish(xp, fit, bounds, y, axis)
    if not return_info:
        return fit
    return fit, IsotonicInfo(axis_back(xp, ids, axis), *(part[..., 0] for part in status))


def _pooled_fit(
    backend: Backend, y: Array, weights: Array | None, increasing: bool, loss: str, p: float
) -> tuple[Array, Array]:
    if loss == "kl":
        return kl_fit(backend, y, weights, increasing)
    if loss == "pnorm":
        p = check_number("p", p, above=1.0)
        if p != 2.0:
            return pnorm_fit(backend, y, weights, p, increasing)
    return squared_fit(backend, y, weights, increasing)


def _pooled_status(backend: Backend, fit: Array, increasing: bool) -> tuple[Array, Array, Array]:
    """Return iterations, residual and convergence (..., 1) of a fit by pooling: it is exact."""
    xp = backend.namespace
    fixed = backend.stop_gradient(fit)
    left, right = fixed[..., :-1], fixed[..., 1:]
    worst = left - right if increasing else right - left
    zero = fixed[..., :1] * 0
    residual = xp.max(xp.concat([zero, worst], axis=-1), axis=-1, keepdims=True)
    return xp.zeros_like(zero, dtype=xp.int32), residual, ~xp.isnan(residual)


def _dykstra_limits(
    backend: Backend, y: Array, max_iter: int | None, tol: float | None
) -> tuple[int, Array | float]:
    """Return the number of cycles, and the tolerance (..., 1) in the units of `y`."""
    xp = backend.namespace
    relative = _TOLERANCE["float32" if y.dtype == xp.float32 else "float64"]
    limit = enough_cycles(y.shape[-1], relative)
    if max_iter is not None:
        limit = int(check_number("max_iter", max_iter, minimum=1.0))
    if tol is not None:
        return limit, check_number("tol", tol, minimum=0.0)
    fixed = backend.stop_gradient(y)
    extent = xp.max(fixed, axis=-1, keepdims=True) - xp.min(fixed, axis=-1, keepdims=True)
    return limit, relative * extent + float(xp.finfo(y.dtype).smallest_normal)


def _row_weights(
    backend: Backend, weights: Array | None, y: Array, rows: Array, axis: int
) -> Array | None:
    """Return `weights` checked, broadcast to `y`, with `axis` last and in the dtype of `rows`."""
    if weights is None:
        return None
    check_array("weights", weights, backend)
    check_dtype("weights", weights)
    xp, weights = backend.namespace, known_to(backend, weights)
    shape, target = tuple(weights.shape), tuple(y.shape)
    sizes = zip(shape[::-1], target[::-1], strict=False)
    if len(shape) > len(target) or any(size not in (1, wanted) for size, wanted in sizes):
        raise ValueError(
            f"`weights` must broadcast to the shape {target} of `y`; got shape {shape}"
        )
    full = axis_last(xp, xp.broadcast_to(weights, target), axis)
    return full if full.dtype == rows.dtype else xp.astype(full, rows.dtype)


def _bounds(
    backend: Backend, lower: Any, upper: Any, y: Array, axis: int
) -> tuple[Array | float | None, Array | float | None]:
    if lower is not None:
        lower = row_parameter(backend, "lower", lower, y, axis)
    if upper is not None:
        upper = row_parameter(backend, "upper", upper, y, axis)
    if isinstance(lower, float) and isinstance(upper, float) and lower > upper:
        raise ValueError(f"`lower` must be at most `upper`; got lower={lower:g}, upper={upper:g}")
    return lower, upper


def _finish(xp: Any, fit: Array, bounds: tuple[Any, Any], y: Array, axis: int) -> Array:
    """Clip, and go back to the dtype and axis of `y`.

    Where the fit meets a bound, the derivative is that of the fit.
    """
    lower, upper = bounds
    if lower is not None:
        fit = xp.where(xp.less(fit, lower), lower, fit)
    if upper is not None:
        fit = xp.where(xp.greater(fit, upper), upper, fit)
    return axis_back(xp, fit if fit.dtype == y.dtype else xp.astype(fit, y.dtype), axis)
