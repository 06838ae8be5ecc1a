"""Fenchel-Young losses: a regularizer gives the prediction, and the loss that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..operators._scores import shifted
from ..regularizers import Gini, Shannon, Tsallis
from ..trees import register_dataclass
from ._duals import fenchel_young_conjugate, fenchel_young_prox
from ._loss import Loss
from ._pieces import (
    at_entries,
    bounded,
    corrected,
    link_of,
    logistic_index_rows,
    oriented,
    out_of,
    per_row,
    settled,
)
from ._problem import Problem

__all__ = ["FenchelYoung"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class FenchelYoung(Loss):
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
    >>> loss(scores, np.asarray([0, 1]), reduction="none")
    array([0.    , 0.34375])
    >>> loss(scores, np.asarray([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), reduction="none").round(4)
    array([0.    , 0.0938])
    >>> loss.link(scores).round(4)
    array([[1.    , 0.    , 0.    ],
           [0.5833, 0.3333, 0.0833]])
    """

    regularizer: Any

    def __post_init__(self) -> None:
        """Check the regularizer."""
        if not hasattr(self.regularizer, "_link"):
            raise TypeError(
                "`regularizer` must be an object of fenchel.regularizers; "
                f"got {type(self.regularizer).__qualname__}"
            )

    @property
    def _elementwise(self) -> bool:  # type: ignore[override]
        return bool(self.regularizer.elementwise)

    @property
    def _masked(self) -> float:  # type: ignore[override]
        return float(self.regularizer._masked())

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the prediction ``regularizer.argmax(scores)`` (see `Loss.link`)."""
        return self.regularizer.argmax(scores, axis=axis, where=where)

    def _parameters(self) -> tuple[Any, ...]:
        return self.regularizer._parameters()  # type: ignore[no-any-return]

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        if isinstance(self.regularizer, Shannon) and problem.classes is not None:
            return logistic_index_rows(problem)
        own = oriented(self.regularizer, problem)
        backend, xp = problem.backend, problem.backend.namespace
        z = shifted(backend, problem.x, 1.0) if own.simplex else problem.x
        y = settled(problem, problem.soft_target(), own.simplex)
        out = out_of(backend, z)
        textbook = self._textbook(problem, own, z, y, out, target_term)
        if not target_term:
            return bounded(problem, textbook, y, out)
        stop = backend.stop_gradient
        data, fixed = stop(z), stop(y)
        link = own._link(backend, data)
        point, slack = stop(link.point), stop(link.slack)
        rows = per_row(own, own._bregman(backend, fixed, point))
        away = xp.where(slack == 0, xp.zeros_like(slack), slack * (fixed - point))
        rows = rows + (away if own.elementwise else xp.sum(away, axis=-1, keepdims=True))
        return corrected(problem, stop(rows), textbook, fixed, out)

    def _textbook(
        self, problem: Problem, own: Any, z: Array, y: Array, out: Array, target_term: bool
    ) -> Array:
        """Return Omega*(z) + Omega(y) - <z, y>, which every derivative is taken of."""
        backend, xp = problem.backend, problem.backend.namespace
        product = xp.where(out, xp.zeros_like(z), z) * y
        if not own.elementwise:
            product = xp.sum(product, axis=-1, keepdims=True)
        rows = per_row(own, own._max(backend, z)) - product
        if not target_term:
            return rows
        omega = per_row(own, own._value(backend, y))
        known = xp.isfinite(backend.stop_gradient(omega))
        return rows + xp.where(known, omega, xp.zeros_like(omega))

    def _gradient(self, problem: Problem) -> Array:
        own = oriented(self.regularizer, problem)
        y = settled(problem, problem.soft_target(), own.simplex)
        gradient = link_of(problem, own) - y
        return gradient if own.elementwise else at_entries(problem, gradient)

    @property
    def dual_set(self) -> Any:
        """The domain of the regularizer, which ``dual + target`` ranges over."""
        return self.regularizer.domain

    def _conjugate(self, problem: Problem) -> Array:
        return fenchel_young_conjugate(problem, oriented(self.regularizer, problem))

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        return fenchel_young_prox(problem, oriented(self.regularizer, problem), middle, tau)

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
