r"""Fenchel-Young and Fitzpatrick losses of z = beta (a - b) against a soft label p.

A binary regularizer Omega gives :math:`\Omega^*(z) + \Omega(p) - p z`, which is 0 where the
prediction :math:`(\Omega^*)'(z)` is the label, and the smaller
:math:`\sup_q (q - p)(z - \Omega'(q))` with the same zeros (arXiv 1901.02324, 2405.14574).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...backend import backend_of, namespace
from ...convex import Cube
from ...losses import Fitzpatrick, binary_logistic, binary_sparse, fitzpatrick_binary_logistic
from ...regularizers import SquaredNorm
from ._record import PairLoss

__all__ = ["LOSSES"]

Array = Any
Slopes = tuple[Array, Array]

_FITZPATRICK_CUBE = Fitzpatrick(SquaredNorm(Cube()))


def _labels(z: Array, prob: Any) -> Array:
    """Return the labels as an array like `z`."""
    backend = backend_of(z)
    if isinstance(prob, float):
        return backend.namespace.full_like(backend.stop_gradient(z), prob)
    return namespace(z, prob).broadcast_to(prob, z.shape)


def _logistic(z: Array, p: Array) -> Array:
    return binary_logistic(z, p, reduction="none")


def _sparse(z: Array, p: Array) -> Array:
    return binary_sparse(z, p, reduction="none")


def _fitzpatrick_logistic(z: Array, p: Array) -> Array:
    return fitzpatrick_binary_logistic(z, p, reduction="none")


def _fitzpatrick_sparse(z: Array, p: Array) -> Array:
    # Omega(q) = q^2 - q is twice the half square, tilted by 1: the loss is twice that of a cube.
    scores, target = 0.5 * (z[..., None] + 1.0), p[..., None]
    return 2.0 * _FITZPATRICK_CUBE(scores, target, reduction="none")


def _pair(of_margin: Callable[[Array, Array], Array]) -> PairLoss:
    """Return the pair loss of a loss of margins and labels."""

    def value(a: Array, b: Array, beta: Any, *, prob: Any = 1.0) -> Array:
        z = beta * (a - b)
        xp, p = namespace(z, prob), _labels(z, prob)
        # Those losses take infinite scores for masks; here they are margins.
        far = xp.abs(z) == float("inf")
        near = of_margin(xp.where(far, xp.zeros_like(z), z), p)
        right = p == xp.where(z > 0, xp.ones_like(p), xp.zeros_like(p))
        limit = xp.where(right, xp.zeros_like(near), xp.full_like(near, float("inf")))
        return xp.where(far, limit, near)

    return PairLoss(value, labels=True)


LOSSES = {
    "fy_logistic": _pair(_logistic),
    "fy_sparse": _pair(_sparse),
    "fitzpatrick_logistic": _pair(_fitzpatrick_logistic),
    "fitzpatrick_sparse": _pair(_fitzpatrick_sparse),
}
