"""Losses with kinks made smooth, for solvers that need slopes that do not jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fenchel.backend import Array, backend_of
from fenchel.losses.margin import Perceptron

__all__ = ["Envelope", "stages"]

_WIDTHS = (1.0, 0.1, 1e-2, 1e-3)


@dataclass(frozen=True)
class Envelope:
    r"""The Moreau envelope of a loss, :math:`\max_d \langle d, s\rangle - L^*(d) - m |d|^2/2`.

    It lies below the loss by at most m/2 times the largest |d|^2, which is 2 for the losses of a
    simplex. Its gradient is the maximiser d, a proximal point of the conjugate.
    """

    loss: Any
    width: float

    def value_and_grad(
        self, scores: Array, target: Array, /, *, reduction: str = "none"
    ) -> tuple[Array, Array]:
        """Return the values, one a row or their sum, and the gradient in the scores."""
        xp = backend_of(scores).namespace
        dual = self.loss.conjugate_prox(scores, xp.zeros_like(scores), target, tau=self.width)
        inner = xp.sum(dual * (scores - 0.5 * self.width * dual), axis=-1)
        values = inner - self.loss.conjugate(dual, target)
        return (xp.sum(values) if reduction == "sum" else values), dual


def stages(loss: Any) -> tuple[Any, ...]:
    """Return what to minimise in turn, each from the last minimum: a smooth loss is all of it."""
    if isinstance(loss, Perceptron):
        return tuple(Envelope(loss, width) for width in _WIDTHS)
    return (loss,)
