r"""Tsallis' entropies on the simplex: Shannon's (alpha = 1), Gini's (2) and those between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..convex import Simplex
from ..operators._deformed import bregman_entries, floor, log_alpha
from ..operators.entmax import entmax_scores
from ..operators.softmax import softmax_formula
from ..parameters import row_parameter
from ..trees import register_dataclass
from ._fields import finite_scores, number_or_array, turned
from ._rows import Regularizer
from ._slacks import below_normal, simplex_slack

__all__ = ["Gini", "Shannon", "Tsallis"]

Array = Any


class _Entropy(Regularizer):
    """Formulas in terms of alpha; powers are written as deformed logarithms, smooth at 1."""

    domain = Simplex()
    simplex = True

    def _alpha(self, backend: Any, x: Array) -> Any:
        raise TypeError("an entropy has an alpha")

    def _argmax(self, backend: Any, z: Array) -> Array:
        alpha = self._alpha(backend, z)
        if isinstance(alpha, float) and alpha == 1.0:
            return softmax_formula(backend, z, 1.0)
        return entmax_scores(backend, z, alpha, 1.0)

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        return simplex_slack(backend, z, point, self._slope(backend, point))

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        xp, alpha = backend.namespace, self._alpha(backend, p)
        return xp.sum(p * log_alpha(xp, floor(xp, p), alpha), axis=-1) / _last(alpha)

    def _max(self, backend: Any, z: Array) -> Array:
        xp, alpha = backend.namespace, self._alpha(backend, z)
        if isinstance(alpha, float) and alpha == 1.0:
            total = xp.sum(xp.exp(z), axis=-1)
            return xp.log(xp.where(total == 0, xp.ones_like(total), total))
        p = self._argmax(backend, z)
        inside, _ = finite_scores(backend, z)
        return xp.sum(p * inside, axis=-1) - self._value(backend, p)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        return xp.sum(bregman_entries(xp, y, p, self._alpha(backend, y)), axis=-1)

    def _divergence(self, backend: Any, y: Array, p: Array) -> Array:
        xp, alpha = backend.namespace, self._alpha(backend, y)
        rows = self._bregman(backend, y, p)
        infinite = xp.any(below_normal(xp, p) & (y > 0), axis=-1)
        infinite = infinite & ((xp.ones_like(y[..., :1]) * alpha)[..., 0] == 1.0)
        return xp.where(infinite, xp.full_like(rows, float("inf")), rows)

    def _slope(self, backend: Any, p: Array) -> Array:
        xp, alpha = backend.namespace, self._alpha(backend, p)
        log_p = log_alpha(xp, floor(xp, p), alpha)
        return log_p + 1.0 / alpha

    def _curvature(self, backend: Any, p: Array) -> Array:
        xp, alpha = backend.namespace, self._alpha(backend, p)
        if isinstance(alpha, float) and alpha == 2.0:
            return xp.ones_like(p)
        if isinstance(alpha, float) and alpha == float("inf"):
            return xp.zeros_like(p)
        return xp.exp((alpha - 2.0) * xp.log(floor(xp, p)))


def _last(alpha: Any) -> Any:
    """Return alpha to go with rows."""
    return alpha if isinstance(alpha, float) else alpha[..., 0]


@register_dataclass()
@dataclass(frozen=True)
class Shannon(_Entropy):
    r"""Shannon's negative entropy on the simplex, :math:`\Omega(p) = \sum_i p_i \log p_i`.

    Its argmax is softmax, its max log-sum-exp, its Bregman divergence Kullback and Leibler's.

    Notes
    -----
    *Derivatives*: of every method, to every order; that of `value` at an entry of 0 is the limit
    from inside, cut at the logarithm of the smallest normal number.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import Shannon
    >>> x = np.asarray([1.0, 2.0, 3.0])
    >>> Shannon().argmax(x).round(3)
    array([0.09 , 0.245, 0.665])
    >>> round(float(Shannon().max(x)), 4)
    3.4076
    """

    def _alpha(self, backend: Any, x: Array) -> float:
        return 1.0


@register_dataclass()
@dataclass(frozen=True)
class Gini(_Entropy):
    r"""Gini's negative index on the simplex, :math:`\Omega(p) = \frac12 \sum_i p_i (p_i - 1)`.

    Its argmax is sparsemax, its Bregman divergence half the squared distance.

    Notes
    -----
    *Derivatives*: of every method; `argmax` is piecewise linear.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import Gini
    >>> x = np.asarray([1.0, 1.5, 0.0])
    >>> Gini().argmax(x)
    array([0.25, 0.75, 0.  ])
    >>> float(Gini().max(x))
    1.5625
    """

    def _alpha(self, backend: Any, x: Array) -> float:
        return 2.0


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Tsallis(_Entropy):
    r"""Tsallis' negative entropy, :math:`\Omega(p) = \sum_i (p_i^\alpha - p_i)/(\alpha(\alpha-1))`.

    Its argmax is entmax. Shannon's at alpha = 1, Gini's at 2, and 0 at infinity.

    Parameters
    ----------
    alpha : number or array (..., 1)
        At least 1; differentiated if an array, at 1 too.

    Raises
    ------
    TypeError
        If a number is required and something else came.
    ValueError
        If `alpha` is a number below 1.

    Notes
    -----
    *Derivatives*: in the points or scores and in `alpha`, to order three wherever the support is
    locally constant. Sources: arXiv 1901.02324, arXiv 1905.05702.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import Tsallis
    >>> omega = Tsallis(1.5)
    >>> p = omega.argmax(np.asarray([1.0, 2.0, 0.0]))
    >>> p.round(4)
    array([0.1693, 0.8307, 0.    ])
    >>> round(float(omega.value(p)), 4)
    -0.2309
    """

    alpha: Any

    def __post_init__(self) -> None:
        """Check an alpha that is a number."""
        object.__setattr__(self, "alpha", number_or_array("alpha", self.alpha, minimum=1.0))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.alpha,)

    def _oriented(self, ndim: int, axis: int) -> Tsallis:
        return self if isinstance(self.alpha, float) else Tsallis(turned(self.alpha, ndim, axis))

    def _alpha(self, backend: Any, x: Array) -> Any:
        return row_parameter(backend, "alpha", self.alpha, x, x.ndim - 1, minimum=1.0)
