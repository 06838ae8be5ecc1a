"""Powers of a p-norm on a set: the regularizer of the relaxed top-k mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_number, sign
from ..convex import CappedSimplex, Cube, NonNegative, Reals, Simplex
from ..convex.thresholds import conjugate_exponent, power
from ..operators._deformed import bregman_entries
from ..operators.entmax import entmax_scores
from ..operators.topk_mask import check_k, plain_mask
from ..trees import register_dataclass
from ._fields import finite_scores
from ._sets import OnSet
from ._slacks import below_normal, capped_slack, interval_slack

__all__ = ["PNorm"]

Array = Any

_SETS = (CappedSimplex, Simplex, Cube, NonNegative, Reals)


@register_dataclass(static=("p",))
@dataclass(frozen=True, eq=False)
class PNorm(OnSet):
    r"""Power of a p-norm on a set, :math:`\Omega(y) = \frac1p \sum_i |y_i|^p`.

    On the capped simplex its argmax is `topk_mask`, on the simplex an entmax, on the cube
    :math:`\mathrm{clip}(x, 0, 1)^{1/(p-1)}`.

    Parameters
    ----------
    set
        `CappedSimplex(k)`, `Simplex()` of radius 1, `Cube()`, `NonNegative()` or `Reals()`.
    p : float
        Above 1; at most 2 on the capped simplex.

    Raises
    ------
    TypeError
        If the set is none of these.
    ValueError
        If `p` is out of range, or the simplex has another radius.

    Notes
    -----
    *Derivatives*: as those of `topk_mask` and `entmax`: to order three wherever the support is
    locally constant. Source: arXiv 2302.01425.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import CappedSimplex
    >>> from fenchel.regularizers import PNorm
    >>> omega = PNorm(CappedSimplex(2), 2.0)
    >>> omega.argmax(np.asarray([3.0, 1.0, 0.5, 2.0]), temperature=2.0)
    array([1.  , 0.25, 0.  , 0.75])
    """

    set: Any
    p: float

    def __post_init__(self) -> None:
        """Check the set and the exponent."""
        if not isinstance(self.set, _SETS):
            names = ", ".join(kind.__name__ for kind in _SETS)
            raise TypeError(f"`set` must be one of {names}; got {type(self.set).__qualname__}")
        if isinstance(self.set, Simplex) and self.set.radius != 1.0:
            raise ValueError(f"`set` must have radius 1; got radius={self.set.radius:g}")
        most = 2.0 if isinstance(self.set, CappedSimplex) else None
        object.__setattr__(self, "p", check_number("p", self.p, above=1.0, maximum=most))
        if self.p == float("inf"):
            raise ValueError("`p` must be finite; got p=inf")

    def _argmax(self, backend: Any, z: Array) -> Array:
        xp = backend.namespace
        if isinstance(self.set, CappedSimplex):
            k = check_k(backend, self.set.k, z, z.ndim - 1)
            return plain_mask(backend, z, k, 1.0, conjugate_exponent(self.p))
        if isinstance(self.set, Simplex):
            return entmax_scores(backend, z / (self.p - 1.0), self.p, 1.0)
        if isinstance(self.set, Reals):
            return sign(xp, z) * power(xp, xp.abs(z), 1.0 / (self.p - 1.0))
        return power(xp, self.set.project(z), 1.0 / (self.p - 1.0))

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        xp = backend.namespace
        inside, out = finite_scores(backend, z)
        if isinstance(self.set, Reals):
            return xp.zeros_like(z)
        rest = xp.where(out, inside, self._slope(backend, point) - inside)
        high = 1.0 if isinstance(self.set, Cube | CappedSimplex) else float("inf")
        bounded = isinstance(self.set, Cube | NonNegative)
        return (interval_slack if bounded else capped_slack)(backend, rest, point, out, high)

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        xp = backend.namespace
        return xp.sum(power(xp, xp.abs(p), self.p), axis=-1) / self.p

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        xp = backend.namespace
        if isinstance(self.set, Reals):
            return xp.sum(self._signed(xp, y, p), axis=-1)
        return xp.sum((self.p - 1.0) * bregman_entries(xp, y, p, self.p), axis=-1)

    def _signed(self, xp: Any, y: Array, p: Array) -> Array:
        """Return the divergence of points of any signs."""
        size, base = xp.abs(y), xp.abs(p)
        same = (self.p - 1.0) * bregman_entries(xp, size, base, self.p)
        crossing = 2.0 * size * power(xp, base, self.p - 1.0)
        return same + xp.where(y * sign(xp, p) < 0, crossing, xp.zeros_like(y))

    def _slope(self, backend: Any, p: Array) -> Array:
        xp = backend.namespace
        return sign(xp, p) * power(xp, xp.abs(p), self.p - 1.0)

    def _curvature(self, backend: Any, p: Array) -> Array:
        xp = backend.namespace
        if self.p == 2.0:
            return xp.ones_like(p)
        zero = below_normal(xp, xp.abs(p))
        size = xp.where(zero, xp.full_like(p, float(xp.finfo(p.dtype).smallest_normal)), xp.abs(p))
        return (self.p - 1.0) * size ** (self.p - 2.0)
