"""What the law of particles should attain: rewards, divergences, entropy, and sums of them.

An objective is the quantity that it names; `ImplicitDiffusion` minimises, so a reward enters with
a minus sign. All of these have a gradient from particles alone, by one pullback through the energy
for a whole sum; the table of their first variations f is in arXiv 2402.05468, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype, check_number, widen
from ..autodiff import stop_gradient
from ..backend import backend_of
from .gradients import Pull, covariance_pull, pulled

__all__ = ["Entropy", "Objective", "Reward", "Sum"]

Array = Any
Tree = Any


class Objective:
    """A quantity of the law of particles; objectives are added, and multiplied by numbers."""

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """Simple objectives with their factors."""
        return ((1.0, self),)

    def value(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        /,
        *,
        weights: Array | None = None,
        temperature: float = 1.0,
        rng: Any = None,
    ) -> Array:
        """Return the quantity for particles of shape (..., n, *event): an array of shape (...).

        `rng` is for objectives that draw from their data: the same draws the same as `gradient`.
        """
        raise TypeError(f"{type(self).__qualname__} has no value without the path of the particles")

    def pulls(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        *,
        weights: Array | None,
        ddof: int,
        temperature: float,
        rng: Any,
    ) -> tuple[Pull, ...]:
        """Return points and factors c: the gradient is that of the sum of all <c, V>."""
        raise TypeError(
            f"{type(self).__qualname__} has no gradient from particles alone: it takes a sampler "
            "that differentiates paths"
        )

    def gradient(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        /,
        *,
        weights: Array | None = None,
        ddof: int = 1,
        temperature: float = 1.0,
        rng: Any = None,
    ) -> Tree:
        """Return the gradient in the parameters of the law that the particles stand for.

        Parameters
        ----------
        energy, params
            The law: exp(-energy(x, params) / temperature).
        x
            Particles, of shape (..., n, *event).
        weights, ddof, temperature
            As for `implicit_gradient`.
        rng
            For objectives that draw from their data.

        Returns
        -------
        container
            Like `params`.
        """
        x, weights = stop_gradient(x), None if weights is None else stop_gradient(weights)
        found = self.pulls(
            energy, params, x, weights=weights, ddof=ddof, temperature=temperature, rng=rng
        )
        return pulled(energy, params, _merged(found))[1]

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum((*self.terms, *other.terms))

    def __mul__(self, factor: float) -> Objective:
        number = check_number("factor", factor, minimum=-1e300, maximum=1e300)
        return Sum(tuple((number * f, term) for f, term in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self * -1.0

    def __sub__(self, other: Objective) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented


def _merged(pulls: tuple[Pull, ...]) -> tuple[Pull, ...]:
    """Add the factors that belong to the same points: one pass through the energy for them."""
    points: list[Array] = []
    factors: list[Array] = []
    for x, c in pulls:
        place = next((i for i, known in enumerate(points) if known is x), None)
        if place is None:
            points.append(x)
            factors.append(c)
        else:
            factors[place] = factors[place] + c
    return tuple(zip(points, factors, strict=True))


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of objectives; what `+` and `*` make."""

    parts: tuple[tuple[float, Objective], ...]

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """Simple objectives with their factors."""
        return self.parts

    def value(self, energy: Any, params: Tree, x: Array, /, **options: Any) -> Array:
        """Return the sum of the values."""
        found = [f * part.value(energy, params, x, **options) for f, part in self.parts]
        total = found[0]
        for value in found[1:]:
            total = total + value
        return total

    def pulls(self, energy: Any, params: Tree, x: Array, **options: Any) -> tuple[Pull, ...]:
        """Return all points, with the factors of all terms."""
        return tuple(
            (points, factor * c)
            for factor, part in self.parts
            for points, c in part.pulls(energy, params, x, **options)
        )


@dataclass(frozen=True)
class Reward(Objective):
    """E[fn(X)].

    Parameters
    ----------
    fn
        Function of particles (..., n, *event) to numbers (..., n). From particles of an energy only
        its values are used; along a path (`DenoisingSampler`) it is differentiated.

    Notes
    -----
    *Derivatives*: `gradient` is -Cov(fn(X), grad V) / temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> objective = -2.0 * Reward(lambda x: x[..., 0])
    >>> x = np.asarray([[-1.0], [0.0], [1.0]])
    >>> objective.gradient(energy, np.zeros(1), x).tolist()
    [-2.0]
    """

    fn: Callable[[Array], Array]

    def value(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        /,
        *,
        weights: Array | None = None,
        temperature: float = 1.0,
        rng: Any = None,
    ) -> Array:
        """Return the mean reward."""
        return mean_of(self.fn(x), weights)

    def pulls(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        *,
        weights: Array | None,
        ddof: int,
        temperature: float,
        rng: Any,
    ) -> tuple[Pull, ...]:
        """Return the factors of the covariance with the rewards."""
        return (covariance_pull(x, stop_gradient(self.fn(x)), weights, ddof, temperature),)


@dataclass(frozen=True)
class Entropy(Objective):
    """-E[log p(X)] of the law; the value leaves out the logarithm of its normaliser.

    Notes
    -----
    *Derivatives*: `gradient` is -Cov(V, grad V) / temperature^2.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, scale: scale * np.sum(x**2, axis=-1) / 2)
    >>> x = np.random.default_rng(0).normal(size=(100000, 1))
    >>> round(float(Entropy().gradient(energy, np.asarray(1.0), x)), 1)
    -0.5
    """

    def value(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        /,
        *,
        weights: Array | None = None,
        temperature: float = 1.0,
        rng: Any = None,
    ) -> Array:
        """Return E[V] / temperature: the entropy less the logarithm of the normaliser."""
        return mean_of(energy(x, params), weights) * (1.0 / temperature)

    def pulls(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        *,
        weights: Array | None,
        ddof: int,
        temperature: float,
        rng: Any,
    ) -> tuple[Pull, ...]:
        """Return the factors of the covariance with V / temperature."""
        f = stop_gradient(energy(x, stop_gradient(params))) * (1.0 / temperature)
        return (covariance_pull(x, f, weights, ddof, temperature),)


def mean_of(values: Array, weights: Array | None) -> Array:
    """Return the mean along the last axis, with weights that are divided by their sum."""
    xp = backend_of(values).namespace
    wide = widen(xp, values, check_dtype("values", values))
    if weights is None:
        return xp.mean(wide, axis=-1)
    counted = weights > 0
    kept = xp.where(counted, wide, xp.zeros_like(wide))
    shares = xp.astype(weights, wide.dtype)
    return xp.sum(shares * kept, axis=-1) / xp.sum(shares, axis=-1)
