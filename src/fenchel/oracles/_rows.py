"""A loss as oracles see it: rows of scores (m, k) against the targets of one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..autodiff import grad, linearize
from ..backend import Backend
from ..convex import Reals
from ..losses.fenchel_young import FenchelYoung
from ..losses.margin import Perceptron
from ..losses.robust import Absolute
from ..regularizers import Shannon, SquaredNorm

__all__ = ["LossRows", "check_loss", "has_curvature", "loss_rows"]

Array = Any
Map = Callable[[Array], Array]


def check_loss(loss: Any) -> None:
    """Raise TypeError unless `loss` is an object of `fenchel.losses`."""
    members = ("value_and_grad", "conjugate", "conjugate_prox")
    if not callable(loss) or not all(hasattr(loss, name) for name in members):
        raise TypeError(
            f"`loss` must be a loss object of fenchel.losses; got {type(loss).__qualname__}"
        )


def has_curvature(loss: Any) -> bool:
    """Whether a loss has second derivatives to speak of: it is not piecewise linear."""
    return not isinstance(loss, Perceptron | Absolute)


@dataclass(frozen=True)
class LossRows:
    """The losses h_i of the samples of a batch.

    Parameters
    ----------
    backend
        Adapter of the scores.
    loss
        The loss.
    targets
        Targets that go with scores (m, k).
    elementwise
        Whether the loss has one value an entry, which are then summed.
    """

    backend: Backend
    loss: Any
    targets: Array
    elementwise: bool

    def values(self, z: Array) -> Array:
        """Return h_i(z_i), (m,)."""
        return self._total(self.loss(z, self.targets, reduction="none"))

    def gradient(self, z: Array) -> Array:
        """Return grad h_i(z_i), (m, k)."""
        return self.loss.value_and_grad(z, self.targets, reduction="none")[1]

    def live_gradient(self, z: Array) -> Array:
        """Return grad h_i(z_i) as a function that may be differentiated."""
        return grad(self._sum)(z)

    def conjugate(self, dual: Array) -> Array:
        """Return h_i*(dual_i), (m,)."""
        return self._total(self.loss.conjugate(dual, self.targets))

    def gaps(self, z: Array, dual: Array) -> Array:
        """Return the Fenchel-Young gaps h_i(z_i) + h_i*(dual_i) - <z_i, dual_i>, (m,)."""
        xp = self.backend.namespace
        return self.values(z) + self.conjugate(dual) - xp.sum(z * dual, axis=-1)

    def prox(self, z: Array, center: Array, tau: Array) -> Array:
        r"""Return argmin_a h_i*(a) - <z_i, a> + tau_i/2 \|a - center_i\|^2 for tau (m, 1)."""
        if self.elementwise:
            tau = self.backend.namespace.zeros_like(z) + tau
        return self.loss.conjugate_prox(z, center, self.targets, tau=tau)

    def curvature(self, z: Array) -> Map:
        """Return the product with the Hessians of h_i at z_i, (m, k) to (m, k)."""
        own = getattr(self.loss, "regularizer", None)
        young = isinstance(self.loss, FenchelYoung)
        if young and isinstance(own, Shannon):
            return _softmax_curvature(self.backend, self.loss.link(z))
        if young and isinstance(own, SquaredNorm) and isinstance(own.set, Reals):
            return lambda v: v
        stop, push = self.backend.stop_gradient, linearize(grad(self._sum), z)[1]
        if self.elementwise or getattr(self.loss, "_labels", False):
            diagonal = stop(push(self.backend.namespace.ones_like(z)))
            return lambda v: diagonal * v
        return push

    def at(self, index: Array) -> LossRows:
        """Return the losses of the samples in an index array."""
        targets = self.backend.namespace.take(self.targets, index, axis=0)
        return LossRows(self.backend, self.loss, targets, self.elementwise)

    def _sum(self, z: Array) -> Array:
        return self.loss(z, self.targets, reduction="sum")

    def _total(self, values: Array) -> Array:
        return self.backend.namespace.sum(values, axis=-1) if self.elementwise else values


def loss_rows(backend: Backend, loss: Any, targets: Array, column: bool) -> LossRows:
    """Return the rows of a loss; a `column` of outputs (m,) has become (m, 1)."""
    xp = backend.namespace
    elementwise = bool(loss._elementwise)
    integral = xp.isdtype(targets.dtype, ("bool", "integral"))
    classes = integral and not (elementwise or getattr(loss, "_labels", False))
    if column and not classes:
        targets = xp.expand_dims(targets, axis=-1)
    return LossRows(backend, loss, targets, elementwise)


def _softmax_curvature(backend: Backend, p: Array) -> Map:
    """Return the product with diag(p) - p p^T.

    Each row of v is taken relative to its entry at the largest p: as p nears a vertex, nothing
    cancels and the products stay positive.
    """
    xp = backend.namespace
    places = xp.arange(p.shape[-1], device=backend.device_of(p))
    top = xp.astype(places == xp.argmax(p, axis=-1, keepdims=True), p.dtype)

    def apply(v: Array) -> Array:
        w = v - xp.sum(top * v, axis=-1, keepdims=True)
        return p * (w - xp.sum(p * w, axis=-1, keepdims=True))

    return apply
