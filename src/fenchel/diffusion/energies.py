"""Energies V(x, params) of laws proportional to exp(-V / temperature)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype, check_integer, check_number
from ..autodiff import grad
from ..backend import Backend, backend_of
from ..parameters import check_array, known_to
from ..random import normal, sampler
from ..special import logsumexp
from ..trees import find_backend, is_array, register_dataclass
from ._checks import check_function
from ._draws import seeded

__all__ = ["Energy", "GaussianMixture", "MLPEnergy"]

Array = Any
Tree = Any


@dataclass(frozen=True)
class Energy:
    """An energy given by a function.

    Parameters
    ----------
    fn
        Function of particles of shape (n, *event) and parameters, to their energies, of shape
        (n,). Independent problems may lead: (b, n, *event) to (b, n).
    slope
        Its gradient in the particles, shaped like them; None for the derivative of `fn`.

    Raises
    ------
    TypeError
        If one of them is no function.

    Notes
    -----
    *Derivatives*: those of `fn`.

    Examples
    --------
    >>> import numpy as np
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> x, center = np.ones((3, 2)), np.asarray([1.0, 3.0])
    >>> energy(x, center).tolist(), energy.grad_x(x, center)[0].tolist()
    ([2.0, 2.0, 2.0], [0.0, -2.0])
    """

    fn: Callable[[Array, Tree], Array]
    slope: Callable[[Array, Tree], Array] | None = None

    def __post_init__(self) -> None:
        """Check that these are functions."""
        check_function("fn", self.fn)
        if self.slope is not None:
            check_function("slope", self.slope)

    def __call__(self, x: Array, params: Tree) -> Array:
        """Return the energy of each particle."""
        backend = find_backend((x, params))
        return checked(self.fn(x if backend is None else known_to(backend, x), params), x)

    def grad_x(self, x: Array, params: Tree) -> Array:
        """Return the gradient of the energies in the particles."""
        if self.slope is not None:
            return self.slope(x, params)
        return slope_of(self, x, params)


def slope_of(energy: Callable[[Array, Tree], Array], x: Array, params: Tree) -> Array:
    """Return the derivative of an energy in the particles: one pullback for all."""

    def total(y: Array) -> Array:
        found = energy(y, params)
        return backend_of(found).namespace.sum(found)

    return grad(total)(x)


def checked(energies: Array, x: Array) -> Array:
    """Return energies, one a particle.

    Raises
    ------
    ValueError
        If there is not one number a particle.
    """
    shape = tuple(energies.shape)
    if not shape or shape != tuple(x.shape[: len(shape)]):
        raise ValueError(
            "`energy` must return one number a particle, of a shape that begins that of the "
            f"particles {tuple(x.shape)}; got {shape}"
        )
    return energies


@register_dataclass(static=("scale",))
@dataclass(frozen=True)
class GaussianMixture:
    """Energy of a mixture of Gaussians with given means; the parameters are its logits.

    V(x, logits) = -log sum_i softmax(logits)_i exp(-|x - means_i|^2 / (2 scale^2)), computed in
    the log domain: far from all means it stays finite.

    Parameters
    ----------
    means
        Floating array of shape (k, d).
    scale
        Standard deviation of the components.

    Raises
    ------
    TypeError
        If `means` is no floating array.
    ValueError
        If `means` is no matrix, or `scale` is not positive; where it is evaluated, if particles or
        logits do not fit the means.

    Notes
    -----
    *Derivatives*: of every order, in particles, logits and means. The integral of exp(-V) does not
    depend on the logits.

    References
    ----------
    P. Marion et al., "Implicit diffusion", arXiv 2402.05468, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> energy = GaussianMixture(np.asarray([[0.0, 0.0], [4.0, 0.0]]))
    >>> logits = np.zeros(2)
    >>> energy(np.asarray([[100.0, 0.0]]), logits).round(4).tolist()
    [4608.6931]
    >>> energy.grad_x(np.asarray([[100.0, 0.0]]), logits).tolist()
    [[96.0, 0.0]]
    """

    means: Array
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check shape and scale."""
        if not is_array(self.means):
            kind = type(self.means).__qualname__
            raise TypeError(f"`means` must be an array; got {kind}")
        check_dtype("means", self.means)
        if self.means.ndim != 2 or 0 in tuple(self.means.shape):
            raise ValueError(
                f"`means` must have shape (k, d), not empty; got {tuple(self.means.shape)}"
            )
        check_number("scale", self.scale, above=0.0, maximum=1e300)

    def _check(self, x: Array, logits: Array) -> Backend:
        """Return the library of particles and logits that fit the means."""
        backend = backend_of(x, logits, self.means)
        check_array("x", x, backend)
        check_array("logits", logits, backend)
        components, dim = tuple(self.means.shape)
        if x.ndim < 2 or x.shape[-1] != dim:
            raise ValueError(f"`x` must have shape (..., n, {dim}); got {tuple(x.shape)}")
        if logits.ndim == 0 or logits.shape[-1] != components:
            raise ValueError(
                f"`logits` must have shape (..., {components}); got {tuple(logits.shape)}"
            )
        return backend

    def _scores(self, x: Array, logits: Array) -> Array:
        """Logarithms of the weighted components, of shape (..., n, k)."""
        backend = self._check(x, logits)
        xp = backend.namespace
        x, logits, means = (known_to(backend, a) for a in (x, logits, self.means))
        log_weights = logits - logsumexp(logits, axis=-1, keepdims=True)
        # The differences themselves: |x|^2 - 2 <x, mean> + |mean|^2 cancels far out.
        apart = xp.expand_dims(x, axis=-2) - means
        near = xp.sum(apart * apart, axis=-1) * (-0.5 / self.scale**2)
        return xp.expand_dims(log_weights, axis=-2) + near

    def __call__(self, x: Array, logits: Array) -> Array:
        """Return the energy of each particle, of shape (..., n)."""
        return -logsumexp(self._scores(x, logits), axis=-1)

    def grad_x(self, x: Array, logits: Array) -> Array:
        """Return the gradient: x minus the mean that it is expected to come from."""
        share = self.responsibilities(x, logits)
        backend = backend_of(share, x)
        expected = backend.namespace.matmul(share, known_to(backend, self.means))
        return (known_to(backend, x) - expected) * (1.0 / self.scale**2)

    def responsibilities(self, x: Array, logits: Array) -> Array:
        """Return the probability of each component for each particle, of shape (..., n, k)."""
        scores = self._scores(x, logits)
        return backend_of(scores).namespace.exp(scores - logsumexp(scores, axis=-1, keepdims=True))

    def step_at_once(
        self, x: Array, logits: Array, step_size: float, scale: float, noise: Any
    ) -> Array | None:
        """Return x - step_size grad_x + scale noise from one kernel; None where there is none.

        `noise` is an array like `x`, or the `RandomStream` to draw it from.
        """
        kernel = getattr(self._check(x, logits), "mixture_step", None)
        if kernel is None:
            return None
        numbers = (step_size, scale, 1.0 / self.scale**2)
        return kernel(x, self.means, logits, numbers, noise)

    def sample(self, rng: Any, logits: Array, n: int) -> Array:
        """Return `n` exact draws of shape (n, d), at temperature 1."""
        check_integer("n", n, minimum=0)
        draw = sampler(seeded(rng), self.means)
        xp = backend_of(self.means).namespace
        cumulative = xp.cumulative_sum(xp.exp(logits - logsumexp(logits, axis=-1)))
        u = draw.uniform((n, 1)) * cumulative[-1]
        component = xp.sum(xp.astype(u >= cumulative[:-1], xp.int32), axis=-1)
        centers = xp.take(self.means, component, axis=0)
        return centers + self.scale * draw.normal((n, self.means.shape[1]))


@dataclass(frozen=True)
class MLPEnergy:
    """Energy of a small network with a quadratic well: net(x) + confinement |x|^2 / 2.

    Parameters
    ----------
    hidden
        Widths of the hidden layers, each followed by tanh.
    confinement
        Weight of the well, positive so that the law exists: the network is bounded.

    Raises
    ------
    TypeError
        If a width is no integer.
    ValueError
        If a number is not positive; where it is evaluated, if particles do not fit the parameters.

    Notes
    -----
    *Derivatives*: of every order, in particles (n, d) and parameters.

    Examples
    --------
    >>> import numpy as np
    >>> energy = MLPEnergy((8, 8))
    >>> params = energy.init(0, 2, like=np.zeros(1))
    >>> energy(np.zeros((3, 2)), params).tolist(), params[0][0].shape
    ([0.0, 0.0, 0.0], (2, 8))
    """

    hidden: tuple[int, ...] = (64, 64)
    confinement: float = 1.0

    def __post_init__(self) -> None:
        """Check the sizes."""
        given: object = self.hidden
        if not isinstance(given, tuple | list):
            kind = type(given).__qualname__
            raise TypeError(f"`hidden` must be a tuple of widths; got {kind}")
        object.__setattr__(
            self, "hidden", tuple(check_integer("hidden", n, minimum=1) for n in self.hidden)
        )
        check_number("confinement", self.confinement, above=0.0, maximum=1e300)

    def init(self, rng: Any, dim: int, *, like: Array) -> tuple[tuple[Array, Array], ...]:
        """Return parameters: a pair (weight, bias) for each layer, variance 1 / width before."""
        check_integer("dim", dim, minimum=1)
        draw = sampler(seeded(rng), like)
        layers = []
        for before, width in zip((dim, *self.hidden), (*self.hidden, 1), strict=True):
            weight = normal(draw, (before, width), like=like) * before**-0.5
            bias = backend_of(weight).namespace.zeros_like(weight[0, ...])
            layers.append((weight, bias))
        return tuple(layers)

    def __call__(self, x: Array, params: Tree) -> Array:
        """Return the energy of each particle."""
        first = params[0][0]
        xp = backend_of(x, first).namespace
        if x.ndim == 0 or x.shape[-1] != first.shape[0]:
            raise ValueError(
                f"`x` must have shape (..., {first.shape[0]}) for these `params`; "
                f"got {tuple(x.shape)}"
            )
        y = x
        for weight, bias in params[:-1]:
            y = xp.tanh(xp.add(xp.matmul(y, weight), bias))
        weight, bias = params[-1]
        net = xp.add(xp.matmul(y, weight), bias)[..., 0]
        return net + 0.5 * self.confinement * xp.sum(xp.multiply(x, x), axis=-1)

    def grad_x(self, x: Array, params: Tree) -> Array:
        """Return the gradient of the energies in the particles."""
        return slope_of(self, x, params)

    def step_at_once(
        self, x: Array, params: Tree, step_size: float, scale: float, noise: Any
    ) -> Array | None:
        """Return x - step_size grad_x + scale noise from one kernel; None where there is none.

        `noise` is an array like `x`, or the `RandomStream` to draw it from.
        """
        kernel = getattr(backend_of(x, params[0][0]), "network_step", None)
        if kernel is None:
            return None
        return kernel(x, params, (step_size, scale, self.confinement), noise)
