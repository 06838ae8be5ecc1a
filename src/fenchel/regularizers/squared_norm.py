"""Half the squared norm on a convex set: its argmax is the projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import CappedSimplex, Simplex
from ..trees import register_dataclass
from ._fields import finite_scores
from ._sets import OnSet
from ._slacks import capped_slack

__all__ = ["SquaredNorm"]

Array = Any


@register_dataclass()
@dataclass(frozen=True, eq=False)
class SquaredNorm(OnSet):
    r"""Half the squared norm on a convex set, :math:`\Omega(p) = \frac12 \|p\|^2` for p in it.

    Its argmax is the Euclidean projection on the set, its Bregman divergence half the squared
    distance.

    Parameters
    ----------
    set
        A set of `fenchel.convex`, or any object with `project(x)`, and with `linear_argmax(x)` if
        the temperature may be 0.

    Raises
    ------
    TypeError
        If `set` has no projection.

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

    def __post_init__(self) -> None:
        """Check that the set has a projection."""
        if not hasattr(self.set, "project"):
            raise TypeError(f"`set` must have `project`; got {type(self.set).__qualname__}")

    def _argmax(self, backend: Any, z: Array) -> Array:
        return self.set.project(z)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp = backend.namespace
        inside, out = finite_scores(backend, z)
        same = point == inside  # maybe inf, of which there is no difference
        zero = xp.zeros_like(point)
        rest = xp.where(out, inside, xp.where(same, zero, point) - xp.where(same, zero, inside))
        if isinstance(self.set, Simplex | CappedSimplex):
            high = float("inf") if isinstance(self.set, Simplex) else 1.0
            return capped_slack(backend, rest, point, out, high)
        return rest

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        return backend.namespace.sum(p * p, axis=-1) / 2.0

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        return backend.namespace.sum((y - p) ** 2, axis=-1) / 2.0

    def _slope(self, backend: Any, p: Array) -> Array:
        return p

    def _curvature(self, backend: Any, p: Array) -> Array:
        return backend.namespace.ones_like(p)
