"""Fitzpatrick losses: tighter than the Fenchel-Young losses, with the same prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..operators._scores import shifted
from ..regularizers import Gini, Shannon, SquaredNorm, Tsallis
from ..special import wright_omega
from ..trees import register_dataclass
from ._duals import fitzpatrick_conjugate, fitzpatrick_prox
from ._fitzpatrick_entropy import (
    entropy_maximiser,
    entropy_rows,
    logistic_index_gradient,
    logistic_index_rows,
    logistic_softmax_rows,
)
from ._of_regularizer import LossOfRegularizer
from ._pieces import at_entries, firsts, link_of, oriented, settled, with_nan
from ._problem import Problem
from ._targets import Target
from .fenchel_young import FenchelYoung

__all__ = ["Fitzpatrick"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class Fitzpatrick(LossOfRegularizer):
    r"""The Fitzpatrick loss of a regularizer.

    :math:`F(\theta, y) = \max_{y'} \langle y' - y, \theta - \nabla\Psi(y') \rangle \ge 0` over the
    domain of :math:`\Omega = \Psi + \iota`. It is at most the Fenchel-Young loss, is 0 where that
    is, and predicts the same; its gradient in the scores is :math:`y^\star - y` with the maximiser
    :math:`y^\star`.

    Parameters
    ----------
    regularizer
        `Shannon`, `Gini`, `Tsallis` with 1 <= alpha <= 2, `SquaredNorm` of any set, or
        `BinaryShannon`.

    Raises
    ------
    TypeError
        If `regularizer` is another one.
    ValueError
        If the alpha of a `Tsallis` is above 2: the maximiser is then not unique.

    Notes
    -----
    Class indices with Shannon's entropy have the closed form omega(s - 1), with Wright's omega and
    s the log-sum-exp of the other scores minus that of the target. Quadratic regularizers have
    F(theta, y) = 2 L((y + theta)/2, y). Without `target_term` the loss is less by Omega(target),
    like the Fenchel-Young loss that it is of a regularizer shifted by a Bregman divergence.
    *Derivatives*: in the scores, dense targets and alpha, to order three wherever the support is
    locally constant. Source: arXiv 2405.14574.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import FenchelYoung, Fitzpatrick
    >>> from fenchel.regularizers import Shannon
    >>> scores, target = np.asarray([[2.0, 0.5, 0.0], [0.5, 0.25, 0.0]]), np.asarray([0, 1])
    >>> Fitzpatrick(Shannon())(scores, target, reduction="none").round(4)
    array([0.1173, 0.4729])
    >>> FenchelYoung(Shannon())(scores, target, reduction="none").round(4)
    array([0.3064, 1.1193])
    """

    regularizer: Any

    def __post_init__(self) -> None:
        """Check the regularizer."""
        own = self.regularizer
        supported = isinstance(own, Shannon | Gini | Tsallis | SquaredNorm)
        if not supported and type(own).__name__ != "BinaryShannon":
            raise TypeError(
                "`regularizer` must be Shannon, Gini, Tsallis, SquaredNorm or BinaryShannon; "
                f"got {type(own).__qualname__}"
            )
        if isinstance(own, Tsallis) and isinstance(own.alpha, float) and own.alpha > 2.0:
            raise ValueError(
                "`regularizer` must be Tsallis with alpha in [1, 2], above which the maximiser "
                f"is not unique; got alpha={own.alpha:g}"
            )

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        problem = firsts(problem, self.regularizer.simplex)
        own = oriented(self.regularizer, problem)
        rows = self._full_rows(problem, own)
        if target_term:
            return rows
        y = settled(problem, problem.soft_target(), own.simplex)
        omega = own._value(problem.backend, y)
        return rows - (omega if own.elementwise else omega[..., None])

    def _full_rows(self, problem: Problem, own: Any) -> Array:
        alpha = _alpha(own, problem)
        if alpha is None or (isinstance(alpha, float) and alpha == 2.0):
            return 2.0 * FenchelYoung(own)._rows(_halfway(problem, own), True)
        if own.elementwise:
            return _binary_rows(problem)
        if isinstance(alpha, float) and alpha == 1.0 and problem.classes is not None:
            return logistic_index_rows(problem)
        y = settled(problem, problem.soft_target(), True)
        return entropy_rows(problem, problem.x, y, alpha)

    def _gradient(self, problem: Problem) -> Array:
        problem = firsts(problem, self.regularizer.simplex)
        own = oriented(self.regularizer, problem)
        backend, alpha = problem.backend, _alpha(own, problem)
        y = settled(problem, problem.soft_target(), own.simplex)
        if alpha is None or (isinstance(alpha, float) and alpha == 2.0):
            return at_entries(problem, link_of(_halfway(problem, own), own) - y)
        if own.elementwise:
            return _binary_gradient(problem)
        if isinstance(alpha, float) and alpha == 1.0 and problem.classes is not None:
            return logistic_index_gradient(problem)
        best = entropy_maximiser(backend, shifted(backend, problem.x, 1.0), y, alpha)
        return at_entries(problem, with_nan(problem, best.point - y, problem.x))

    def _conjugate(self, problem: Problem) -> Array:
        return fitzpatrick_conjugate(problem, oriented(self.regularizer, problem))

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        return fitzpatrick_prox(problem, oriented(self.regularizer, problem), middle, tau)

    def _window(self) -> tuple[float, float] | None:
        # The prediction is that of (x + y)/2, and y only raises the threshold.
        return (2.0, 2.0) if isinstance(self.regularizer, Gini) else None

    def _softmax_rows(self, xp: Any, own: Array, rest: Array) -> tuple[Array, Array, Array]:
        return logistic_softmax_rows(xp, own, rest)

    def _kernel_name(self) -> tuple[str, tuple[float, ...]] | None:
        if isinstance(self.regularizer, Shannon):
            return "fitzpatrick_logistic", ()
        if isinstance(self.regularizer, Gini):
            return "fitzpatrick_sparsemax", ()
        return None


def _alpha(own: Any, problem: Problem) -> Any:
    """Return the alpha of an entropy, 1 of the binary one, None for quadratic regularizers."""
    if isinstance(own, SquaredNorm):
        return None
    if own.elementwise:
        return 1.0
    return own._alpha(problem.backend, problem.x)


def _halfway(problem: Problem, own: Any) -> Problem:
    """Return the Fenchel-Young problem at (y + theta)/2, of which the loss is a half."""
    y = settled(problem, problem.soft_target(), own.simplex)
    x = 0.5 * (problem.x + y)
    return problem._replace(x=x, target=Target(None, y), smoothing=0.0)


def _pair(problem: Problem) -> tuple[Array, Array]:
    """Return scores (t, 0) and targets (y, 1 - y) of the two classes of an entry."""
    xp = problem.backend.namespace
    y = problem.soft_target()
    scores = xp.concat([problem.x, xp.zeros_like(problem.x)], axis=-1)
    return scores, xp.concat([y, 1.0 - y], axis=-1)


def _binary_rows(problem: Problem) -> Array:
    scores, y = _pair(problem)
    if problem.hard_labels:  # omega(-(2 y - 1) t - 1)
        sign = 2.0 * y[..., :1] - 1.0
        return wright_omega(-1.0 * problem.x * sign - 1.0)
    return entropy_rows(problem._replace(elementwise=False), scores, y, 1.0)


def _binary_gradient(problem: Problem) -> Array:
    scores, y = _pair(problem)
    backend = problem.backend
    best = entropy_maximiser(backend, shifted(backend, scores, 1.0), y, 1.0)
    return with_nan(problem, (best.point - y)[..., :1], problem.x)
