"""Prox-linear directions: the network linearised, the loss as it is."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..arrays import check_choice, check_integer, check_number
from ..trees import register_dataclass
from ._batch import Array, Model
from ._coordinate import sdca
from ._fista import fista
from ._frank_wolfe import frank_wolfe
from ._newton import newton_cg
from ._oracle import Found, Oracle, check_gamma
from ._rows import check_loss, has_curvature

__all__ = ["ProxLinear"]

_SOLVERS = {
    "newton_cg": newton_cg,
    "fista": fista,
    "sdca": sdca,
    "frank_wolfe": frank_wolfe,
}


@register_dataclass(static=("loss", "predict", "solver", "max_iter", "rtol"))
@dataclass(frozen=True)
class ProxLinear(Oracle):
    r"""The prox-linear direction of a mean of convex losses of a network.

    .. math:: d = \operatorname*{argmin}_d \frac1m \sum_i h_i(f_i + J_i d)
              + \frac{1}{2\gamma} \|d\|_M^2 + \frac\lambda2 \|w + d\|^2

    Only the network is linearised: where the curvature of the loss vanishes, on samples that are
    fitted, the model still knows what a long step costs. So `gamma` may be large with unit steps,
    and the loss need not be smooth.

    Parameters
    ----------
    loss
        An object of `fenchel.losses`.
    predict
        As for `GaussNewton`.
    gamma : number or array ()
        How far to go.
    solver : {None, "newton_cg", "fista", "sdca", "frank_wolfe"}
        Newton's method, for losses with curvature; on the dual, accelerated proximal ascent,
        coordinate ascent over samples (for small m k: the Gram matrix is formed), or Frank and
        Wolfe's method. None is newton_cg if the loss has curvature, else fista.
    max_iter : int
        Most steps of Newton's method, steps, passes over the batch, or steps.
    rtol : float
        Stop when the duality gap is this part of the model's decrease; 0 goes on to rounding.
    metric : container, optional
        Positive diagonal M, shaped like the parameters.
    weight_decay : number or array ()
        Lambda.

    Raises
    ------
    TypeError
        If `loss` is none, has no curvature for newton_cg, or `predict` is not callable.
    ValueError
        If a number is out of range or `solver` unknown.

    Notes
    -----
    A direction that its model does not accept, of a solve cut short, is halved until it does:
    P(d) <= P(0) proves descent. *Derivatives*: see `direction`; those of a loss without curvature
    are those of its linear pieces. Source: arXiv 2308.08886.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import hinge
    >>> from fenchel.oracles import ProxLinear
    >>> x, y = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([0, 1])
    >>> oracle = ProxLinear(hinge, lambda w, x: x @ w, gamma=10.0)
    >>> direction, info = oracle.direction(np.zeros((2, 2)), x, y)
    >>> direction.round(3) + 0.0, round(float(info.value), 3)
    (array([[ 0.5, -0.5],
           [-0.5,  0.5]]), 0.05)
    """

    loss: Any
    predict: Any
    _: KW_ONLY
    gamma: Any = 1.0
    solver: str | None = None
    max_iter: int = 50
    rtol: float = 1e-6
    metric: Any = None
    weight_decay: Any = 0.0

    def __post_init__(self) -> None:
        """Check the fields."""
        check_loss(self.loss)
        if self.solver is not None:
            check_choice("solver", self.solver, tuple(_SOLVERS))
        if self.solver == "newton_cg" and not has_curvature(self.loss):
            raise TypeError(
                "`loss` must have curvature for solver='newton_cg'; "
                f"got {type(self.loss).__qualname__}"
            )
        check_integer("max_iter", self.max_iter, minimum=0)
        object.__setattr__(self, "rtol", check_number("rtol", self.rtol, minimum=0.0))
        check_gamma(self)

    def _solve(self, model: Model, start: Array | None) -> Found:
        name = self.solver or ("newton_cg" if has_curvature(self.loss) else "fista")
        return _SOLVERS[name](model, start, max_iter=self.max_iter, rtol=self.rtol)

    def _slopes(self, model: Model, shift: Array) -> Array:
        return model.rows.live_gradient(model.outputs + shift)
