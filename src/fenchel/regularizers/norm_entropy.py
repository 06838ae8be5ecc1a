"""A norm on the simplex: its argmax is normmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import Simplex
from ..convex.thresholds import power
from ..operators._deformed import bregman_entries
from ..operators.normmax import normmax_formula
from ..parameters import row_parameter
from ..trees import register_dataclass
from ._fields import finite_scores, number_or_array, turned
from ._rows import Regularizer
from ._slacks import simplex_slack

__all__ = ["NormEntropy"]

Array = Any


@register_dataclass()
@dataclass(frozen=True, eq=False)
class NormEntropy(Regularizer):
    r"""A norm on the simplex, :math:`\Omega(p) = \|p\|_\alpha`.

    Its argmax is normmax. A margin of 1 makes it one-hot, for every alpha.

    Parameters
    ----------
    alpha : number or array (..., 1)
        Above 1, infinity included (as a number); differentiated if an array.

    Raises
    ------
    TypeError
        If a number is required and something else came.
    ValueError
        If `alpha` is a number that is not above 1.

    Notes
    -----
    *Derivatives*: in the points or scores and in `alpha`, to order three wherever the support is
    locally constant. Source: arXiv 1901.02324, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import NormEntropy
    >>> omega = NormEntropy(2.0)
    >>> omega.argmax(np.asarray([1.0, 1.2, 0.0])).round(4)
    array([0.4286, 0.5714, 0.    ])
    >>> float(omega.value(np.asarray([1.0, 0.0])))
    1.0
    """

    alpha: Any
    domain = Simplex()
    simplex = True

    def __post_init__(self) -> None:
        """Check an alpha that is a number."""
        object.__setattr__(self, "alpha", number_or_array("alpha", self.alpha, above=1.0))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.alpha,)

    def _oriented(self, ndim: int, axis: int) -> NormEntropy:
        if isinstance(self.alpha, float):
            return self
        return NormEntropy(turned(self.alpha, ndim, axis))

    def _row_alpha(self, backend: Any, x: Array) -> Any:
        return row_parameter(backend, "alpha", self.alpha, x, x.ndim - 1, above=1.0)

    def _argmax(self, backend: Any, z: Array) -> Array:
        return normmax_formula(backend, z, self._row_alpha(backend, z))

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp, slope = backend.namespace, self._slope(backend, point)
        if isinstance(self.alpha, float) and self.alpha == float("inf"):
            # Equal entries do not determine their slopes; one choice is as good as another.
            inside, out = finite_scores(backend, z)
            return xp.where(out, inside, slope - inside)
        return simplex_slack(backend, z, point, slope)

    def _norm(self, backend: Any, p: Array) -> Array:
        """Return the norm (..., 1) of p >= 0, with finite derivatives at 0."""
        xp, alpha = backend.namespace, self._row_alpha(backend, p)
        largest = xp.max(p, axis=-1, keepdims=True)
        if isinstance(alpha, float) and alpha == float("inf"):
            return largest
        scale = backend.stop_gradient(largest)
        scale = xp.where(scale > 0, scale, xp.ones_like(scale))
        total = xp.sum(power(xp, p / scale, alpha), axis=-1, keepdims=True)
        return scale * power(xp, total, 1.0 / alpha)

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        return self._norm(backend, p)[..., 0]

    def _max(self, backend: Any, z: Array) -> Array:
        p = self._argmax(backend, z)
        inside, _ = finite_scores(backend, z)
        return backend.namespace.sum(p * inside, axis=-1) - self._value(backend, p)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        """Return ||y|| (1 - <slope, y/||y||>): the gap in Hoelder's inequality."""
        xp, alpha = backend.namespace, self._row_alpha(backend, y)
        size = self._norm(backend, y)
        if isinstance(alpha, float) and alpha == float("inf"):
            return (size - xp.sum(self._slope(backend, p) * y, axis=-1, keepdims=True))[..., 0]
        unit, base = y / _safe(xp, size), p / _safe(xp, self._norm(backend, p))
        gap = xp.sum(bregman_entries(xp, unit, base, alpha), axis=-1, keepdims=True)
        return (size * (alpha - 1.0) * gap)[..., 0]

    def _slope(self, backend: Any, p: Array) -> Array:
        xp, alpha = backend.namespace, self._row_alpha(backend, p)
        if isinstance(alpha, float) and alpha == float("inf"):
            top = xp.astype(p == xp.max(p, axis=-1, keepdims=True), p.dtype)
            return top / xp.sum(top, axis=-1, keepdims=True)
        return power(xp, p / _safe(xp, self._norm(backend, p)), alpha - 1.0)

    def _curvature(self, backend: Any, p: Array) -> Array:
        xp, alpha = backend.namespace, self._row_alpha(backend, p)
        if isinstance(alpha, float) and alpha == float("inf"):
            return xp.zeros_like(p)
        norm = _safe(xp, self._norm(backend, p))
        slope = power(xp, p / norm, alpha - 1.0)
        return (alpha - 1.0) * (power(xp, p / norm, alpha - 2.0) - slope * slope) / norm


def _safe(xp: Any, norm: Array) -> Array:
    return xp.where(norm > 0, norm, xp.ones_like(norm))
