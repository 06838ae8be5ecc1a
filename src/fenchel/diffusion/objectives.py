"""What the law of particles should attain: rewards, divergences, entropy, and sums of them.

An objective is the quantity that it names; `ImplicitDiffusion` minimises, so a reward enters with
a minus sign. All of these have a gradient from particles alone, by one pullback through the energy
for a whole sum; the table of their first variations f is in arXiv 2402.05468, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import check_dtype, check_integer, check_number, widen
from ..autodiff import stop_gradient
from ..backend import backend_of
from ..trees import is_array
from ._checks import check_function, check_shapes, check_weights
from .gradients import Pull, covariance_pull, pulled

__all__ = ["Entropy", "Law", "Objective", "Reward", "Sum", "mean_of"]

Array = Any
Tree = Any


class Law(NamedTuple):
    """What an objective is asked about: particles that stand for exp(-energy / temperature).

    Attributes
    ----------
    energy, params
        The energy of the law.
    x
        Particles, of shape (..., n, *event).
    weights
        Of the particles, None for equal ones.
    temperature
        Above 0.
    ddof
        Divisor n - ddof of covariances.
    rng
        For objectives that draw from their data, or None.
    """

    energy: Any
    params: Tree
    x: Array
    weights: Array | None
    temperature: float
    ddof: int
    rng: Any

    def energies(self) -> Array:
        """Return the energy of each particle over the temperature."""
        return self.energy(self.x, self.params) * (1.0 / self.temperature)

    def covariance_with(self, values: Array) -> tuple[Pull, ...]:
        """Return the factors of the gradient of E[values]."""
        values = stop_gradient(values)
        return (covariance_pull(self.x, values, self.weights, self.ddof, self.temperature),)

    def fixed(self) -> Law:
        """Return the law with parameters, particles and weights as constants."""
        params, x, weights = stop_gradient((self.params, self.x, self.weights))
        return self._replace(params=params, x=x, weights=weights)


class Objective:
    """A quantity of the law of particles; objectives are added, and multiplied by numbers.

    A subclass defines `of` and `pulls`, both functions of a `Law`.
    """

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """Simple objectives with their factors."""
        return ((1.0, self),)

    def of(self, law: Law) -> Array:
        """Return the quantity, of shape (...) for particles of shape (..., n, *event)."""
        raise TypeError(f"{type(self).__qualname__} has no value without the path of the particles")

    def pulls(self, law: Law) -> tuple[Pull, ...]:
        """Return points and factors c: the gradient is that of the sum of all <c, V>.

        The law is a constant.
        """
        raise TypeError(
            f"{type(self).__qualname__} has no gradient from particles alone: it takes a sampler "
            "that differentiates paths"
        )

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
        """Return the quantity for the law that the particles stand for.

        Parameters
        ----------
        energy, params, x, weights, temperature, rng
            As for `gradient`, which draws the same data for the same `rng`.

        Returns
        -------
        array
            Of shape (...).
        """
        return self.of(_law(energy, params, x, weights, temperature, 0, rng))

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

        Raises
        ------
        TypeError
            If particles or weights are no floating arrays, or the objective is one of paths.
        ValueError
            If a number is out of range, shapes do not fit, or there is no particle.
        """
        law = _law(energy, params, x, weights, temperature, ddof, rng)
        return pulled(energy, params, _merged(self.pulls(law.fixed())))[1]

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


def _law(
    energy: Any,
    params: Tree,
    x: Array,
    weights: Array | None,
    temperature: float,
    ddof: int,
    rng: Any,
) -> Law:
    """Return the law, checked; a reward has a value without an energy."""
    check_number("temperature", temperature, above=0.0)
    check_integer("ddof", ddof, minimum=0)
    if not is_array(x):
        raise TypeError(f"`x` must be an array; got {type(x).__qualname__}")
    check_dtype("x", x)
    if 0 in tuple(x.shape) or x.ndim == 0:
        raise ValueError(f"`x` must have shape (..., n, *event), not empty; got {tuple(x.shape)}")
    return Law(energy, params, x, weights, temperature, ddof, rng)


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

    def of(self, law: Law) -> Array:
        """Return the sum of the values."""
        found = [f * part.of(law) for f, part in self.parts]
        total = found[0]
        for value in found[1:]:
            total = total + value
        return total

    def pulls(self, law: Law) -> tuple[Pull, ...]:
        """Return all points, with the factors of all terms."""
        return tuple(
            (points, factor * c) for factor, part in self.parts for points, c in part.pulls(law)
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

    def __post_init__(self) -> None:
        """Check the type."""
        check_function("fn", self.fn)

    def of(self, law: Law) -> Array:
        """Return the mean of the rewards."""
        return mean_of(self._values(law.x), law.x, law.weights)

    def pulls(self, law: Law) -> tuple[Pull, ...]:
        """Return the factors of the covariance with the rewards."""
        return law.covariance_with(self._values(law.x))

    def _values(self, x: Array) -> Array:
        values = self.fn(x)
        if not is_array(values):
            kind = type(values).__qualname__
            raise TypeError(f"`fn` of a Reward must return an array; got {kind}")
        return values


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

    def of(self, law: Law) -> Array:
        """Return E[V] / temperature: the entropy less the logarithm of the normaliser."""
        return mean_of(law.energies(), law.x, law.weights)

    def pulls(self, law: Law) -> tuple[Pull, ...]:
        """Return the factors of the covariance with V / temperature."""
        return law.covariance_with(law.energies())


def mean_of(values: Array, x: Array, weights: Array | None) -> Array:
    """Return the mean of values of particles, with weights that are divided by their sum."""
    check_shapes(x, values)
    backend = backend_of(values)
    xp = backend.namespace
    wide = widen(xp, values, check_dtype("values", values))
    if weights is None:
        return xp.mean(wide, axis=-1)
    check_weights(backend, weights, tuple(wide.shape))
    counted = weights > 0
    kept = xp.where(counted, wide, xp.zeros_like(wide))
    shares = xp.astype(weights, wide.dtype)
    return xp.sum(shares * kept, axis=-1) / xp.sum(shares, axis=-1)
