"""Half the squared norm on a convex set: its argmax is the projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import CappedSimplex, Simplex
from ..trees import register_dataclass
from ._rows import Regularizer, capped_slack

__all__ = ["SquaredNorm"]

Array = Any


@register_dataclass()
@dataclass(frozen=True, eq=False)
class SquaredNorm(Regularizer):
    r"""Half the squared norm on a convex set, :math:`\Omega(p) = \frac12 \|p\|^2` for p in it.

    Its argmax is the Euclidean projection on the set, its Bregman divergence half the squared
    distance.

    Parameters
    ----------
    set
        A set of `fenchel.convex`, or any object with `project(x)`, and `linear_argmax(x)` if the
        temperature may be 0.

    Notes
    -----
    *Derivatives*: as those of the projection. Source: arXiv 1910.11369.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import CappedSimplex
    >>> from fenchel.regularizers import SquaredNorm
    >>> omega, x = SquaredNorm(CappedSimplex(2)), np.asarray([3.0, 0.5, 0.25, -1.0])
    >>> omega.argmax(x)
    array([1.   , 0.625, 0.375, 0.   ])
    >>> float(omega.max(x))
    2.640625
    """

    set: Any

    @property
    def domain(self) -> Any:
        """The set."""
        return self.set

    def _argmax(self, backend: Any, z: Array) -> Array:
        return self.set.project(z)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp = backend.namespace
        out = backend.stop_gradient(z) == float("-inf")
        rest = xp.where(out, xp.zeros_like(z), point - xp.where(out, xp.zeros_like(z), z))
        if isinstance(self.set, Simplex | CappedSimplex):
            high = float("inf") if isinstance(self.set, Simplex) else 1.0
            return capped_slack(backend, rest, point, out, high)
        return rest

    def _value(self, backend: Any, p: Array) -> Array:
        return backend.namespace.sum(p * p, axis=-1) / 2.0

    def _max(self, backend: Any, z: Array) -> Array:
        xp = backend.namespace
        p = self._argmax(backend, z)
        inside = xp.where(backend.stop_gradient(z) == float("-inf"), xp.zeros_like(z), z)
        return xp.sum(p * (inside - p / 2.0), axis=-1)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        return backend.namespace.sum((y - p) ** 2, axis=-1) / 2.0

    def _slope(self, backend: Any, p: Array) -> Array:
        return p

    def _curvature(self, backend: Any, p: Array) -> Array:
        return backend.namespace.ones_like(p)
