"""The gradient as an oracle, and a direction as a gradient."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..trees import map, register_dataclass
from ._batch import Array, Model
from ._dual_cg import Solution
from ._oracle import Found, Oracle, check_gamma
from ._rows import check_loss
from .gauss_newton import report

__all__ = ["GradientOracle", "as_gradient", "gradient_oracle"]

Tree = Any


@register_dataclass(static=("loss", "predict"))
@dataclass(frozen=True)
class GradientOracle(Oracle):
    """The direction -gamma g, in the form of the other oracles; see `gradient_oracle`.

    Examples
    --------
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GradientOracle
    >>> GradientOracle(squared, lambda w, x: x @ w).gamma
    1.0
    """

    loss: Any
    predict: Any
    _: KW_ONLY
    gamma: Any = 1.0
    metric: Any = None
    weight_decay: Any = 0.0

    def __post_init__(self) -> None:
        """Check the fields."""
        check_loss(self.loss)
        check_gamma(self)

    def _solve(self, model: Model, start: Array | None) -> Found:
        xp = model.backend.namespace
        nothing = xp.zeros_like(model.outputs)
        d = [-x for x in model.near.solve(model.gradient)]
        gap = xp.zeros_like(model.start)
        solution = Solution(d, nothing, nothing, nothing, gap, 0)
        return report(model, solution, xp.zeros_like, False)

    def _slopes(self, model: Model, shift: Array) -> Array:
        return model.slopes


def gradient_oracle(loss: Any, predict: Any, *, gamma: Any = 1.0) -> GradientOracle:
    """Return the oracle of gradient descent: the direction -gamma g.

    Its model is the linear one, so that it is exact, with any loss; it is where Gauss-Newton and
    prox-linear solves start.

    Parameters
    ----------
    loss
        An object of `fenchel.losses`.
    predict
        As for `GaussNewton`.
    gamma : number or array ()
        Learning rate.

    Returns
    -------
    GradientOracle
        With ``direction(params, inputs, targets, weights=None)``.

    Raises
    ------
    TypeError
        If `loss` is none, or `predict` is not callable.
    ValueError
        If `gamma` is not above 0.

    Notes
    -----
    *Derivatives*: those of the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import gradient_oracle
    >>> oracle = gradient_oracle(squared, lambda w, x: x @ w, gamma=0.5)
    >>> oracle.direction(np.zeros(2), np.eye(2), np.asarray([1.0, 2.0]))[0]
    array([0.25, 0.5 ])
    """
    return GradientOracle(loss, predict, gamma=gamma)


def as_gradient(direction: Tree, gamma: Any) -> Tree:
    """Return -direction / gamma, which any optimiser takes in the place of a gradient.

    Parameters
    ----------
    direction
        What an oracle returned.
    gamma : number or array ()
        Its gamma.

    Returns
    -------
    container
        Like `direction`; the gradient itself for the gradient's direction.

    Notes
    -----
    *Derivatives*: smooth in both.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.oracles import as_gradient
    >>> as_gradient(np.asarray([-1.0, 2.0]), 2.0)
    array([ 0.5, -1. ])
    """
    return map(lambda x: -x / gamma, direction)
