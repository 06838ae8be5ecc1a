"""Gauss-Newton directions, by duality or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from ..arrays import check_choice, check_integer, check_number
from ..eager import uncompiled
from ..trees import register_dataclass
from ._batch import Model, open_batch
from ._direct import factorize, solve_factorized
from ._dual_cg import Solution, dual_cg
from ._info import OracleInfo
from ._oracle import Found, Oracle, bent_slopes, check_gamma, check_gammas, slope_along
from ._primal_cg import primal_cg
from ._proximity import proximity
from ._rows import check_loss, has_curvature

__all__ = ["GaussNewton", "report"]

Array = Any


@register_dataclass(static=("loss", "predict", "solver", "max_iter", "rtol", "model_step"))
@dataclass(frozen=True)
class GaussNewton(Oracle):
    r"""The Gauss-Newton direction of a mean of convex losses of a network.

    .. math:: d = \operatorname*{argmin}_d \frac1m \sum_i q_i(f_i + J_i d)
              + \frac{1}{2\gamma} \|d\|_M^2 + \frac\lambda2 \|w + d\|^2

    with the quadratic models q_i of the losses h_i at the outputs f_i. The dual has as many
    variables as there are outputs, not parameters, and every truncated solve of it descends.

    Parameters
    ----------
    loss
        An object of `fenchel.losses` with curvature: not hinge, perceptron or absolute.
    predict
        Function of params and inputs, to outputs (m,) or (m, k). It may have
        ``linearize(params, inputs) -> (outputs, jvp, vjp)``, used in place of the library's.
    gamma : number or array ()
        How far to go: towards 0 the gradient's direction, without bound the undamped Newton one.
    solver : {"dual_cg", "dual_direct", "primal_cg"}
        Conjugate gradients on the m k dual variables; one eigendecomposition of the Gram matrix,
        for small m k; conjugate gradients on the parameters.
    max_iter : int
        Most steps of conjugate gradients; 0 is the direction -gamma g.
    rtol : float
        Stop when the duality gap is this part of the model's decrease; 0 goes on to rounding.
    metric : container, optional
        Positive diagonal M, shaped like the parameters (say Adam's sqrt(v) + eps).
    weight_decay : number or array ()
        Lambda.
    model_step : bool
        Whether to scale the direction to the minimum of the model along it, so that a truncated
        solve is safe with any gamma; 1 at the solution.

    Raises
    ------
    TypeError
        If the loss has no curvature or is none, or `predict` is not callable.
    ValueError
        If a number is out of range or `solver` unknown.

    Notes
    -----
    A step of either kind of conjugate gradients is one product with the Jacobian and one with its
    transpose; the gap costs nothing. Duality needs no factor of the Hessians, only products.
    *Derivatives*: see `direction`. Source: arXiv 2308.08886.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GaussNewton
    >>> x, y = np.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.asarray([1.0, 3.0, 5.0])
    >>> oracle = GaussNewton(squared, lambda w, x: x @ w, gamma=1e6, rtol=0.0)
    >>> direction, info = oracle.direction(np.zeros(2), x, y)
    >>> direction.round(3), int(info.iterations), bool(info.certified_descent)
    (array([1., 2.]), 2, True)
    """

    loss: Any
    predict: Any
    _: KW_ONLY
    gamma: Any = 1.0
    solver: str = "dual_cg"
    max_iter: int = 10
    rtol: float = 1e-2
    metric: Any = None
    weight_decay: Any = 0.0
    model_step: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        check_loss(self.loss)
        if not has_curvature(self.loss):
            raise TypeError(
                "`loss` must have curvature, else use ProxLinear; "
                f"got {type(self.loss).__qualname__}"
            )
        check_choice("solver", self.solver, ("dual_cg", "dual_direct", "primal_cg"))
        check_integer("max_iter", self.max_iter, minimum=0)
        object.__setattr__(self, "rtol", check_number("rtol", self.rtol, minimum=0.0))
        check_gamma(self)

    @uncompiled
    def path(
        self,
        params: Any,
        inputs: Any,
        targets: Array,
        gammas: Sequence[Any],
        weights: Array | None = None,
    ) -> list[tuple[Any, OracleInfo]]:
        """Return direction and info for each of several gammas (see `Oracle.path`).

        The solver "dual_direct" decomposes once: each gamma then costs one pull.
        """
        mixed = self.metric is not None and not _nothing(self.weight_decay)
        if self.solver != "dual_direct" or mixed:
            return super().path(params, inputs, targets, gammas, weights)
        model = self._model(open_batch(params, inputs, targets, weights))
        curvature = model.rows.curvature(model.outputs)
        parts = factorize(model, curvature, model.gradient)
        pairs = []
        for gamma in check_gammas(gammas):
            near = proximity(
                model.backend, gamma, self.metric, self.weight_decay, model.leaves, model.outputs
            )
            scale = gamma / self.gamma if self.metric is not None else model.near.scale / near.scale
            solution = solve_factorized(model, parts, scale)
            found = report(replace(model, near=near), solution, curvature, self.model_step)
            pairs.append((model.finish(model.backend, found.direction), found.info))
        return pairs

    def _solve(self, model: Model, start: Array | None) -> Found:
        curvature = model.rows.curvature(model.outputs)
        b = model.gradient
        if self.solver == "dual_direct":
            solution = solve_factorized(model, factorize(model, curvature, b))
        elif self.solver == "primal_cg":
            solution = primal_cg(model, curvature, b, max_iter=self.max_iter, rtol=self.rtol)
        else:
            solution = self._dual(model, curvature, start)
        return report(model, solution, curvature, self.model_step)

    def _dual(self, model: Model, curvature: Any, start: Array | None) -> Solution:
        def solve(u: Array | None) -> Solution:
            return dual_cg(
                model, curvature, model.gradient, max_iter=self.max_iter, rtol=self.rtol, start=u
            )

        if start is None:
            return solve(None)
        # One step of alpha -> grad h + H J d(alpha): in the range of H, and exact at the solution.
        warm = solve(-model.line.push(model.direction(start)))
        slope, bend = _line(model, warm)
        # A start other than the gradient's is not bound to descend.
        better = (slope < 0) & (self.model_step | (slope + 0.5 * bend <= 0))
        if model.backend.is_traced(better):
            chosen: Solution = model.backend.cond(better, lambda: warm, lambda: solve(None))
            return chosen
        return warm if bool(better) else solve(None)

    def _slopes(self, model: Model, shift: Array) -> Array:
        return bent_slopes(model, shift)


def _nothing(decay: Any) -> bool:
    return isinstance(decay, float) and decay == 0.0


def _line(model: Model, solution: Solution) -> tuple[Array, Array]:
    """Return s and c of the model s theta + c theta^2/2 along the direction."""
    d = solution.direction
    bend = model.inner(solution.image, solution.bent) + model.near.square(d)
    return slope_along(model, d), bend


def report(model: Model, solution: Solution, curvature: Any, model_step: bool) -> Found:
    """Return the direction, scaled by the optimal model step, and its info."""
    xp = model.backend.namespace
    slope, bend = _line(model, solution)
    gap, d, image = solution.gap, solution.direction, solution.image
    if model_step:
        curved = bend > 0
        theta = xp.where(curved, -slope / xp.where(curved, bend, xp.ones_like(bend)), 1.0)
        d, image = [theta * x for x in d], theta * image
        gap = gap - 0.5 * bend * (1.0 - theta) ** 2
        gap = xp.maximum(gap, xp.zeros_like(gap))
        slope, decrease = theta * slope, -0.5 * theta * slope
    else:
        decrease = -slope - 0.5 * bend
    info = OracleInfo(
        model.start - decrease,
        model.shaped(model.slopes - solution.lift),
        gap,
        slope,
        decrease,
        solution.iterations,
        (slope < 0) & (decrease >= 0),
    )
    return Found(d, image, curvature, info)
