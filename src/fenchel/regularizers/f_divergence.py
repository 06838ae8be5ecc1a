"""f-divergences from a reference measure, on the simplex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import axis_last
from ..backend import backend_of
from ..convex import Simplex
from ..operators._divergences import Divergence, check_divergence, reference_rows, row_alpha
from ..operators._scores import hard_argmax, shifted
from ..operators.f_argmax import f_argmax_formula, masked_by
from ..trees import register_dataclass
from ._fields import finite_scores, turned
from ._rows import Regularizer
from ._slacks import simplex_slack

__all__ = ["FDivergence"]

Array = Any


@register_dataclass(static=("divergence",))
@dataclass(frozen=True, eq=False)
class FDivergence(Regularizer):
    r"""An f-divergence on the simplex, :math:`\Omega(p) = \sum_i q_i f(p_i/q_i)`.

    Its argmax is `f_argmax`. With q = 1, "kl" is Shannon's entropy up to a constant, "chi2" Gini's
    and "alpha" Tsallis'.

    Parameters
    ----------
    divergence : str
        "kl", "reverse_kl", "jensen_shannon", "chi2", "neyman_chi2", "squared_hellinger" or "alpha":
        the generators f of `fenchel.operators.f_argmax`, for which f(1) = f'(1) = 0.
    reference : array (n,) or like the scores, optional
        The measure q > 0, by default 1; an entry that is 0 is out, as a score of -inf is. It need
        not sum to 1; it is differentiated.
    alpha : number or array (..., 1), optional
        Exponent of "alpha", any finite number; differentiated if an array.

    Raises
    ------
    ValueError
        If the divergence is unknown, or `alpha` is missing, infinite or not needed.

    Notes
    -----
    Where f(0) is infinite (reverse_kl, neyman_chi2, alpha <= 0), so is `value` at points with a 0
    among the entries that take part. *Derivatives*: in the points or scores, `reference` and
    `alpha`, to order three wherever the support is locally constant. Source: arXiv 2501.18537.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.regularizers import FDivergence
    >>> prior = np.asarray([0.7, 0.2, 0.1])
    >>> omega = FDivergence("chi2", prior)
    >>> omega.argmax(np.zeros(3))  # without scores, the reference itself
    array([0.7, 0.2, 0.1])
    >>> round(float(omega.value(np.asarray([0.5, 0.5, 0.0]))), 4)
    0.3036
    """

    divergence: str
    reference: Any = None
    alpha: Any = None
    domain = Simplex()
    simplex = True

    def __post_init__(self) -> None:
        """Check the name and the exponent."""
        chosen = check_divergence(self.divergence, self.alpha)
        if self.alpha is not None:
            object.__setattr__(self, "alpha", chosen.alpha)

    def _parameters(self) -> tuple[Any, ...]:
        return tuple(value for value in (self.reference, self.alpha) if value is not None)

    def _oriented(self, ndim: int, axis: int) -> FDivergence:
        if axis == ndim - 1 or not self._parameters():
            return self
        q, alpha = self.reference, self.alpha
        if q is not None and q.ndim > 1:
            xp = backend_of(q).namespace
            q = xp.reshape(q, (*(1,) * (ndim - q.ndim), *q.shape))
            q = axis_last(xp, q, axis)
        return FDivergence(self.divergence, q, None if alpha is None else turned(alpha, ndim, axis))

    def _generator(self, backend: Any, x: Array) -> Divergence:
        return row_alpha(backend, check_divergence(self.divergence, self.alpha), x, x.ndim - 1)

    def _measure(self, backend: Any, x: Array) -> tuple[Array, Array]:
        """Return q, 1 where it is out, and where it is out."""
        xp = backend.namespace
        if self.reference is None:
            return xp.ones_like(x), xp.zeros_like(x) > 0
        return reference_rows(backend, self.reference, x, x.ndim - 1)

    def _argmax(self, backend: Any, z: Array) -> Array:
        f = self._generator(backend, z)
        q, out = self._measure(backend, z)
        if self.reference is None and f.factor == 1.0:
            return f_argmax_formula(backend, z, None, f)
        scores = shifted(backend, masked_by(backend, z, out), f.factor)
        return f_argmax_formula(backend, scores, None if self.reference is None else q, f)

    def _hard(self, backend: Any, x: Array) -> Array:
        return hard_argmax(backend, masked_by(backend, x, self._measure(backend, x)[1]))

    def _slack(self, backend: Any, z: Array, point: Array) -> Array:
        _, out = self._measure(backend, z)
        slope = self._slope(backend, point)
        return simplex_slack(backend, masked_by(backend, z, out), point, slope)

    def _value(self, backend: Any, p: Array, inside: Array | None = None) -> Array:
        xp, f = backend.namespace, self._generator(backend, p)
        q, out = self._measure(backend, p)
        ratio = p / q
        entries = q * f.bregman(xp, ratio, xp.ones_like(ratio))
        zeros = xp.zeros_like(entries)
        entries = xp.where(out, xp.where(p > 0, zeros + float("inf"), zeros), entries)
        return xp.sum(entries if inside is None else xp.where(inside, entries, zeros), axis=-1)

    def _max(self, backend: Any, z: Array) -> Array:
        xp = backend.namespace
        p = self._argmax(backend, z)
        scores, out = finite_scores(backend, z)
        return xp.sum(p * scores, axis=-1) - self._value(backend, p, ~out)

    def _soft_maximum(self, backend: Any, x: Array, temperature: Any) -> Array:
        out = self._measure(backend, x)[1]
        return super()._soft_maximum(backend, masked_by(backend, x, out), temperature)

    def _bregman(self, backend: Any, y: Array, p: Array) -> Array:
        xp, f = backend.namespace, self._generator(backend, y)
        q, out = self._measure(backend, y)
        entries = q * f.bregman(xp, y / q, p / q)
        zeros = xp.zeros_like(entries)
        entries = xp.where((y == 0) & (p == 0), zeros, entries)
        entries = xp.where(out, xp.where(y > 0, zeros + float("inf"), zeros), entries)
        return xp.sum(entries, axis=-1)

    def _divergence(self, backend: Any, y: Array, p: Array) -> Array:
        xp, f = backend.namespace, self._generator(backend, y)
        rows = self._bregman(backend, y, p)
        # f'(0) is infinite up to Kullback and Leibler's exponent, and for Jensen and Shannon.
        steep = xp.ones_like(rows) > 0
        if f.alpha is not None:
            steep = ((xp.zeros_like(y[..., :1]) + f.alpha) <= 1.0)[..., 0]
        infinite = steep & xp.any((p == 0) & (y > 0), axis=-1)
        return xp.where(infinite, xp.full_like(rows, float("inf")), rows)

    def _slope(self, backend: Any, p: Array) -> Array:
        q, _ = self._measure(backend, p)
        return self._generator(backend, p).slope(backend.namespace, p / q)

    def _curvature(self, backend: Any, p: Array) -> Array:
        q, _ = self._measure(backend, p)
        return self._generator(backend, p).curvature(backend.namespace, p / q) / q
