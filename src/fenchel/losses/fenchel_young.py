"""Fenchel-Young losses: a regularizer gives the prediction, and the loss that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..operators._scores import shifted
from ..regularizers import Gini, Shannon, Tsallis
from ..trees import register_dataclass
from ._duals import fenchel_young_conjugate, fenchel_young_prox
from ._of_regularizer import LossOfRegularizer
from ._pieces import (
    at_entries,
    bounded,
    corrected,
    firsts,
    logistic_index_rows,
    oriented,
    out_of,
    per_row,
    settled,
    unmasked,
)
from ._problem import Problem, differentiates

__all__ = ["FenchelYoung"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class FenchelYoung(LossOfRegularizer):
    r"""The Fenchel-Young loss of a regularizer.

    :math:`L(\theta, y) = \Omega^*(\theta) + \Omega(y) - \langle \theta, y \rangle \ge 0`, which is
    0 exactly where the prediction ``regularizer.argmax(scores)`` is the target; its gradient in the
    scores is their difference.

    Parameters
    ----------
    regularizer
        An object of `fenchel.regularizers`.

    Raises
    ------
    TypeError
        If `regularizer` is none.

    Notes
    -----
    The value is a Bregman divergence plus a slack, both non-negative, so that nothing cancels near
    the optimum. Entries of -inf are out: a target on one has loss inf. *Derivatives*: in the
    scores, in dense targets and in array fields of the regularizer, to every order that its
    argmax has. Source: arXiv 1901.02324.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import FenchelYoung
    >>> from fenchel.regularizers import Gini
    >>> loss = FenchelYoung(Gini())
    >>> scores = np.asarray([[2.0, 0.5, 0.0], [0.5, 0.25, 0.0]])
    >>> loss(scores, np.asarray([0, 1]), reduction="none").round(4)
    array([0.    , 0.3958])
    >>> loss(scores, np.asarray([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), reduction="none").round(4)
    array([0.    , 0.0208])
    >>> loss.link(scores).round(4)
    array([[1.    , 0.    , 0.    ],
           [0.5833, 0.3333, 0.0833]])
    """

    regularizer: Any

    def __post_init__(self) -> None:
        """Check the regularizer."""
        if not hasattr(self.regularizer, "_link") or isinstance(self.regularizer, type):
            raise TypeError(
                "`regularizer` must be an object of fenchel.regularizers; "
                f"got {type(self.regularizer).__qualname__}"
            )

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        problem = firsts(problem, self.regularizer.simplex)
        if isinstance(self.regularizer, Shannon) and problem.classes is not None:
            return logistic_index_rows(problem)
        own = oriented(self.regularizer, problem)
        z = _prepared(problem, own)
        return self._rows_at(problem, own, z, _predicted(problem.backend, own, z), target_term)

    def _both(self, problem: Problem, target_term: bool) -> tuple[Array, Array]:
        if isinstance(self.regularizer, Shannon) and problem.classes is not None:
            return super()._both(problem, target_term)
        problem = firsts(problem, self.regularizer.simplex)
        own = oriented(self.regularizer, problem)
        z = _prepared(problem, own)
        p = _predicted(problem.backend, own, z)
        rows = self._rows_at(problem, own, z, p, target_term)
        return rows, self._gradient_at(problem, own, p)

    def _rows_at(
        self, problem: Problem, own: Any, z: Array, live: Array, target_term: bool
    ) -> Array:
        """Return the rows for prepared scores and the prediction."""
        backend, xp = problem.backend, problem.backend.namespace
        y = settled(problem, problem.soft_target(), own.simplex)
        out = out_of(backend, z)
        if not target_term:
            return bounded(problem, self._textbook(problem, own, live, z, y, False), y, out)
        stop = backend.stop_gradient
        point, fixed = stop(live), stop(y)
        slack = stop(own._slack(backend, stop(z), point))
        rows = per_row(own, own._bregman(backend, fixed, point))
        gap = fixed - point
        none = (gap == 0) | (slack == 0)  # an infinity times 0 is 0
        away = xp.where(none, xp.zeros_like(gap), gap) * xp.where(none, xp.zeros_like(gap), slack)
        rows = rows + (away if own.elementwise else xp.sum(away, axis=-1, keepdims=True))
        if own.elementwise:  # an infinite score is certain of its label
            sure = xp.where(gap == 0, xp.zeros_like(rows), xp.full_like(rows, float("inf")))
            rows = xp.where(xp.abs(stop(z)) == float("inf"), sure, rows)
        rows = bounded(problem, stop(rows), fixed, out)
        if not differentiates(backend):
            return rows
        return corrected(problem, rows, self._textbook(problem, own, live, z, y, True), out)

    def _textbook(
        self, problem: Problem, own: Any, p: Array, z: Array, y: Array, target_term: bool
    ) -> Array:
        """Return Omega*(z) + Omega(y) - <z, y>, which every derivative is taken of.

        On the simplex with nu (sum y - 1) added, where z = grad Psi(p) + nu on the support: so the
        derivative in y has no part normal to the simplex, and is 0 at the optimum.
        """
        backend, xp = problem.backend, problem.backend.namespace
        out = out_of(backend, z)
        inside = None if own.elementwise else ~out
        scores, z = z, xp.where(out, xp.zeros_like(z), z)
        if isinstance(own, Shannon) or own.elementwise:
            best = per_row(own, own._max(backend, scores))
        else:
            omega = per_row(own, own._value(backend, p, inside))
            best = xp.sum(p * z, axis=-1, keepdims=True) - omega
        product = z * y
        rows = best - (product if own.elementwise else xp.sum(product, axis=-1, keepdims=True))
        if not target_term:
            return rows
        omega = per_row(own, own._value(backend, y, inside))
        known = xp.isfinite(backend.stop_gradient(omega))
        rows = rows + xp.where(known, omega, xp.zeros_like(omega))
        if not own.simplex or problem.target.classes is not None:
            return rows
        steep = z - own._slope(backend, p)
        nu = xp.sum(xp.where(backend.stop_gradient(p) > 0, p * steep, xp.zeros_like(p)), axis=-1)
        return rows + nu[..., None] * (xp.sum(y, axis=-1, keepdims=True) - 1.0)

    def _gradient(self, problem: Problem) -> Array:
        problem = firsts(problem, self.regularizer.simplex)
        own = oriented(self.regularizer, problem)
        p = own._argmax(problem.backend, _prepared(problem, own))
        return self._gradient_at(problem, own, p)

    def _gradient_at(self, problem: Problem, own: Any, p: Array) -> Array:
        """Return the gradient for the prediction."""
        y = settled(problem, problem.soft_target(), own.simplex)
        gradient = unmasked(problem, p) - y
        return gradient if own.elementwise else at_entries(problem, gradient)

    def _conjugate(self, problem: Problem) -> Array:
        return fenchel_young_conjugate(problem, oriented(self.regularizer, problem))

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        return fenchel_young_prox(problem, oriented(self.regularizer, problem), middle, tau)

    def _window(self) -> tuple[float, float] | None:
        own = self.regularizer
        alpha = 2.0 if isinstance(own, Gini) else getattr(own, "alpha", None)
        if not isinstance(own, Gini | Tsallis) or not isinstance(alpha, float) or alpha <= 1.0:
            return None
        return alpha, 1.0

    def _softmax_rows(self, xp: Any, own: Array, rest: Array) -> tuple[Array, Array, Array]:
        total = rest + xp.exp(own)
        rows = xp.where(own == 0, xp.log1p(rest), xp.log(total) - own)
        absent = own == float("-inf")
        return rows, 1.0 / total, xp.where(absent, xp.zeros_like(own), -rest / total)

    def _kernel_name(self) -> tuple[str, tuple[float, ...]] | None:
        own = self.regularizer
        if isinstance(own, Shannon):
            return "logistic", ()
        if isinstance(own, Gini):
            return "sparsemax", ()
        if isinstance(own, Tsallis) and isinstance(own.alpha, float):
            named = {1.0: "logistic", 1.5: "entmax15", 2.0: "sparsemax"}
            if own.alpha in named:
                return named[own.alpha], ()
            return ("entmax", (own.alpha,)) if own.alpha < 2.0 else None
        return None


def _predicted(backend: Any, own: Any, z: Array) -> Array:
    """Return the prediction; what is masked is 0 also of a set without bounds."""
    p, xp = own._argmax(backend, z), backend.namespace
    if own.simplex or own.elementwise:
        return p
    return xp.where(backend.stop_gradient(p) == float("-inf"), xp.zeros_like(p), p)


def _prepared(problem: Problem, own: Any) -> Array:
    """Return the scores as the regularizer takes them."""
    return shifted(problem.backend, problem.x, 1.0) if own.simplex else problem.x
