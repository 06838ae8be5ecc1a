"""Linear models under any loss of `fenchel.losses`, fitted on the host.

L-BFGS goes most of the way; it cannot go below the rounding of the objective, whose square root
bounds the gradient. Newton steps by conjugate gradients, judged by the gradient alone, do the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fenchel.autodiff import grad, jvp
from fenchel.backend import Array, backend_of

__all__ = ["LinearFit", "fit_linear"]

_NEWTON_STEPS, _CG_STEPS = 10, 50


class LinearFit(NamedTuple):
    """A fitted linear model, as NumPy arrays of float64."""

    weights: Any  # (features, outputs)
    intercept: Any  # (outputs,)
    iterations: int


def fit_linear(
    loss: Any,
    features: Array,
    target: Array,
    outputs: int,
    *,
    ridge: float,
    row_weights: Array | None = None,
    fit_intercept: bool = True,
    max_iter: int = 1000,
    tol: float = 1e-6,
    polish: bool = False,
    start: LinearFit | None = None,
    event: tuple[int, ...] | None = None,
    target_term: bool = True,
) -> LinearFit:
    """Minimise mean loss(features W + b, target) + ridge/2 |W|^2 over W and b.

    Parameters
    ----------
    loss
        A loss of `fenchel.losses`.
    features
        Rows of any library, (n, features).
    target
        Classes (n,) or dense targets (n, *event).
    outputs
        Number of scores a row.
    ridge
        Weight of the penalty; the intercept is free.
    row_weights
        Weight of each row, (n,), summing to 1; every row alike by default.
    fit_intercept
        Whether b is fitted or 0.
    max_iter, tol
        Iterations of L-BFGS at most, and the largest entry of the gradient at which it stops.
    polish
        Whether Newton steps follow, as long as they shorten the gradient.
    start
        Where to start; zeros by default.
    event
        Shape that a row of scores has for the loss, (outputs,) by default.
    target_term
        Whether the loss keeps its term that depends on the target alone.

    Returns
    -------
    LinearFit
        Weights, intercept, and the number of iterations.
    """
    import numpy as np
    from scipy.optimize import minimize

    backend = backend_of(features)
    xp = backend.namespace
    rows, width = features.shape
    shape = (rows, *(event or (outputs,)))
    transposed = xp.matrix_transpose(features)
    dtype = backend.to_host(features[:0, :]).dtype
    options = {} if target_term else {"target_term": False}

    def scores_of(matrix: Any) -> Array:
        scores = xp.matmul(features, backend.from_host(np.ascontiguousarray(matrix[:width], dtype)))
        if fit_intercept:
            scores = scores + backend.from_host(matrix[width].astype(dtype))
        return xp.reshape(scores, shape)

    def pulled_back(slopes: Array, matrix: Any) -> Any:
        """Return the gradient in the parameters of a gradient in the scores, penalty included."""
        slopes = xp.reshape(slopes, (rows, outputs))
        gradient = np.empty_like(matrix)
        gradient[:width] = backend.to_host(xp.matmul(transposed, slopes)) + ridge * matrix[:width]
        if fit_intercept:
            gradient[width] = backend.to_host(xp.sum(slopes, axis=0))
        return gradient

    def losses(scores: Array) -> tuple[Array, Array]:
        if row_weights is None:
            value, slopes = loss.value_and_grad(scores, target, reduction="sum", **options)
            return value / rows, slopes / rows
        values, slopes = loss.value_and_grad(scores, target, reduction="none", **options)
        each = xp.reshape(row_weights, (-1,) + (1,) * (scores.ndim - 1))
        return xp.sum(values * row_weights), slopes * each

    def objective(flat: Any) -> tuple[float, Any]:
        matrix = flat.reshape(width + fit_intercept, outputs)
        value, slopes = losses(scores_of(matrix))
        penalty = 0.5 * ridge * float(np.sum(matrix[:width] ** 2))
        return float(value) + penalty, pulled_back(slopes, matrix).ravel()

    def mean_loss(scores: Array) -> Array:
        live = backend_of(scores).namespace
        values = loss(scores, target, reduction="none", **options)
        return live.sum(
            values / rows if row_weights is None else live.multiply(values, row_weights)
        )

    def curved(flat: Any, direction: Any) -> Any:
        """Return the product of the Hessian with a direction."""
        matrix = direction.reshape(width + fit_intercept, outputs)
        point = scores_of(flat.reshape(matrix.shape))
        slopes = jvp(grad(mean_loss), (point,), (scores_of(matrix),))[1]
        return pulled_back(slopes, matrix).ravel()

    first = np.zeros((width + fit_intercept, outputs))
    if start is not None:
        first[:width] = start.weights
        first[width:] = start.intercept
    found = minimize(
        objective,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        # The gradient alone decides: a stop on small progress would hide a slow tail.
        options={"maxiter": max_iter, "gtol": tol, "ftol": 0.0, "maxcor": 20},
    )
    flat = _polished(lambda x: objective(x)[1], curved, found.x) if polish else found.x
    matrix = flat.reshape(width + fit_intercept, outputs)
    intercept = matrix[width] if fit_intercept else np.zeros(outputs)
    return LinearFit(matrix[:width], intercept, int(found.nit))


def _polished(gradient: Callable[[Any], Any], curved: Callable[[Any, Any], Any], x: Any) -> Any:
    """Return `x` after Newton steps, shortened until the norm of the gradient falls."""
    import numpy as np

    slope = gradient(x)
    for _ in range(_NEWTON_STEPS):
        # Below, a step is rounding alone, large where the intercept is free to shift.
        if np.linalg.norm(slope) <= 1e-12:
            break
        step = _conjugate_gradients(partial(curved, x), -slope)
        for length in (1.0, 0.5, 0.25, 0.125):  # a step may leave the supports it was made for
            trial = x + length * step
            new = gradient(trial)
            if np.linalg.norm(new) <= (1.0 - 0.5 * length) * np.linalg.norm(slope):
                break
        else:
            break
        x, slope = trial, new
    return x


def _conjugate_gradients(matvec: Callable[[Any], Any], b: Any) -> Any:
    """Return an approximate solution of a positive semidefinite system, from 0."""
    import numpy as np

    x, r = np.zeros_like(b), b
    p, square = r, float(r @ r)
    enough = 1e-16 * square
    for _ in range(_CG_STEPS):
        if square <= enough:
            break
        product = matvec(p)
        curvature = float(p @ product)
        if curvature <= 1e-14 * float(p @ p):  # flat: no step there is right
            break
        x = x + (square / curvature) * p
        r = r - (square / curvature) * product
        square, last = float(r @ r), square
        p = r + (square / last) * p
    return x
