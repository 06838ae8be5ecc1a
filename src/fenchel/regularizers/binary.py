"""Regularizers on the interval [0, 1], entry by entry: two classes, or many labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import Cube
from ..operators._deformed import bregman_entries, floor
from ..special import expit, softplus
from ..trees import register_dataclass
from ._fields import finite_scores
from ._rows import Regularizer

__all__ = ["BinaryGini", "BinaryShannon"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class BinaryShannon(Regularizer):
    r"""Negative entropy of one bit, :math:`\Omega(p) = p \log p + (1 - p) \log (1 - p)`.

    Every entry is taken by itself, `axis` plays no role and all methods return arrays like their
    argument: `argmax` is the logistic function, `max` softplus.

    Notes
    -----
    *Derivatives*: to every order; that of `value` at 0 and 1 is the limit from inside, cut at the
    logarithm of the smallest normal number.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import BinaryShannon
    >>> BinaryShannon().argmax(np.asarray([-1.0, 0.0, 1.0])).round(3)
    array([0.269, 0.5  , 0.731])
    """

    domain = Cube()
    elementwise = True

    def _argmax(self, backend: Any, z: Array) -> Array:
        return expit(z)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        # Near 1 the point is rounded to a multiple of 1e-16: what the slope lacks is made up here.
        xp = backend.namespace
        inside, out = finite_scores(backend, z)
        p = backend.stop_gradient(point)
        rounded = ((p > 1.0 - 2.0**-8) | (p < float(xp.finfo(p.dtype).smallest_normal))) & ~out
        rest = self._slope(backend, point) - inside
        return xp.where(rounded | xp.isnan(p), rest, xp.zeros_like(z))

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        xp = backend.namespace
        q = 1.0 - p
        return p * xp.log(floor(xp, p)) + q * xp.log(floor(xp, q))

    def _max(self, backend: Any, z: Array) -> Array:
        return softplus(z)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        return bregman_entries(xp, y, p, 1.0) + bregman_entries(xp, 1.0 - y, 1.0 - p, 1.0)

    def _divergence(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        entries = self._bregman(backend, y, p)
        infinite = ((p == 0) & (y > 0)) | ((p == 1) & (y < 1))
        return xp.where(infinite, xp.full_like(entries, float("inf")), entries)

    def _slope(self, backend: Any, p: Array) -> Array:
        xp = backend.namespace
        return xp.log(floor(xp, p)) - xp.log(floor(xp, 1.0 - p))

    def _curvature(self, backend: Any, p: Array) -> Array:
        xp = backend.namespace
        return 1.0 / floor(xp, p) + 1.0 / floor(xp, 1.0 - p)


@register_dataclass()
@dataclass(frozen=True)
class BinaryGini(Regularizer):
    r"""Gini's negative index of one bit, :math:`\Omega(p) = p (p - 1)`.

    Every entry is taken by itself, `axis` plays no role and all methods return arrays like their
    argument: `argmax` is the sparse sigmoid clip((x + 1)/2, 0, 1), `max` the sparse softplus, which
    is 0 below -1, x above 1 and (x + 1)^2/4 between.

    Notes
    -----
    *Derivatives*: of `argmax`, 1/2 inside and at the ends of the ramp, 0 outside.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import BinaryGini
    >>> BinaryGini().argmax(np.asarray([-2.0, 0.0, 0.5]))
    array([0.  , 0.5 , 0.75])
    """

    domain = Cube()
    elementwise = True

    def _argmax(self, backend: Any, z: Array) -> Array:
        return self.domain.project((z + 1.0) / 2.0)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp = backend.namespace
        inside, out = finite_scores(backend, z)
        p = backend.stop_gradient(point)
        held = (p <= 0) | (p >= 1) | xp.isnan(p)
        return xp.where(held & ~out, 2.0 * point - 1.0 - inside, xp.zeros_like(z))

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        return p * (p - 1.0)

    def _max(self, backend: Any, z: Array) -> Array:
        p = self._argmax(backend, z)
        inside, _ = finite_scores(backend, z)
        return p * (inside + 1.0 - p)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        return (y - p) ** 2

    def _slope(self, backend: Any, p: Array) -> Array:
        return 2.0 * p - 1.0

    def _curvature(self, backend: Any, p: Array) -> Array:
        return backend.namespace.full_like(p, 2.0)
