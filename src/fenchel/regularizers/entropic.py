"""Shannon's entropy on sets beyond the simplex: its argmax is the entropic projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import CappedSimplex, Cube, NonNegative, Simplex
from ..operators._deformed import bregman_entries, floor
from ..trees import register_dataclass
from ._fields import finite_scores
from ._sets import OnSet
from ._slacks import capped_slack, interval_slack

__all__ = ["Entropic"]

Array = Any


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Entropic(OnSet):
    r"""Negative entropy on a set of non-negative points, :math:`\sum_i (p_i \log p_i - p_i)`.

    Its argmax is the entropic projection: that of :math:`e^x` in Kullback and Leibler's divergence,
    which is its Bregman divergence. On a transport polytope it is Sinkhorn's plan.

    Parameters
    ----------
    set
        `NonNegative`, `Cube`, `Simplex`, `CappedSimplex`, `Knapsack`, `OrderSimplex`,
        `Permutahedron`, `Birkhoff` or `Transport`, or any object with `project_kl(x)`, and with
        `linear_argmax(x)` if the temperature may be 0.

    Raises
    ------
    TypeError
        If the set has no `project_kl`.

    Notes
    -----
    *Derivatives*: as those of the projection; that of `value` at an entry of 0 is the limit from
    inside, cut at the logarithm of the smallest normal number. Source: arXiv 1910.11369.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Cube
    >>> from fenchel.regularizers import Entropic
    >>> x = np.log(np.asarray([0.25, 0.5, 3.0]))
    >>> Entropic(Cube()).argmax(x)
    array([0.25, 0.5 , 1.  ])
    """

    set: Any

    def __post_init__(self) -> None:
        """Check that the set has an entropic projection."""
        if not hasattr(self.set, "project_kl"):
            raise TypeError(f"`set` must have `project_kl`; got {type(self.set).__qualname__}")

    def _argmax(self, backend: Any, z: Array) -> Array:
        return self.set.project_kl(z)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp = backend.namespace
        inside, out = finite_scores(backend, z)
        rest = xp.where(out, inside, self._slope(backend, point) - inside)
        if isinstance(self.set, Cube | NonNegative):
            high = 1.0 if isinstance(self.set, Cube) else float("inf")
            return interval_slack(backend, rest, point, out, high)
        if isinstance(self.set, Simplex | CappedSimplex):
            high = float("inf") if isinstance(self.set, Simplex) else 1.0
            return capped_slack(backend, rest, point, out, high)
        return rest

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        xp = backend.namespace
        return xp.sum(p * (xp.log(floor(xp, p)) - 1.0), axis=-1)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        return xp.sum(bregman_entries(xp, y, p, 1.0), axis=-1)

    def _divergence(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        rows = self._bregman(backend, y, p)
        infinite = xp.any((p == 0) & (y > 0), axis=-1)
        return xp.where(infinite, xp.full_like(rows, float("inf")), rows)

    def _slope(self, backend: Any, p: Array) -> Array:
        xp = backend.namespace
        return xp.log(floor(xp, p))

    def _curvature(self, backend: Any, p: Array) -> Array:
        return 1.0 / floor(backend.namespace, p)
