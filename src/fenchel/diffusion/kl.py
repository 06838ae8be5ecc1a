"""Divergence of the law of particles from a reference, in both directions."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..arrays import check_choice, check_dtype, check_integer, widen
from ..autodiff import stop_gradient
from ..backend import backend_of
from ..random import uniform
from ..special import logsumexp
from ..trees import is_array
from ._checks import check_weights
from ._draws import seeded
from .gradients import Pull
from .objectives import Law, Objective, mean_of
from .reweighting import shares_of

__all__ = ["KLToReference"]

Array = Any
Tree = Any


@dataclass(frozen=True)
class KLToReference(Objective):
    """The Kullback-Leibler divergence between the law and a reference.

    Parameters
    ----------
    reference
        Energy of the reference law exp(-V0 / temperature): a function of particles alone, or of
        particles and `params`. Or samples of the reference, of shape (m, *event), for
        "from_reference".
    direction
        "from_model": KL(law, reference), which avoids what the reference avoids. "from_reference":
        KL(reference, law), which covers the reference; with samples it is the maximum of
        likelihood, and with an energy the particles are weighted to stand for the reference.
    weights
        Of the samples, of shape (m,).
    params
        Parameters of the reference energy.
    batch_size
        How many of the samples each gradient draws, with replacement; None for all.

    Raises
    ------
    TypeError
        If the reference is neither an energy nor an array, or weights are no floating array.
    ValueError
        If the direction is unknown, samples are given where an energy is needed, or weights or
        batch size do not fit them.

    Notes
    -----
    The value is estimated from the same particles and never negative, 0 if and only if the
    energies differ by a constant on them; with samples it is the difference of the mean energies,
    which has the same gradient and 0 for a law that has learnt the samples.
    *Derivatives*: "from_model": Cov(V - V0, grad V) / temperature^2; "from_reference":
    (E0[grad V] - E[grad V]) / temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> x = np.random.default_rng(0).normal(size=(1000, 1))
    >>> kl = KLToReference(energy, params=np.zeros(1))
    >>> float(kl.value(energy, np.zeros(1), x)), kl.gradient(energy, np.zeros(1), x).tolist()
    (0.0, [0.0])
    """

    reference: Any
    direction: str = "from_model"
    weights: Array | None = None
    _: KW_ONLY
    params: Tree = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        """Check that the direction and the reference fit."""
        check_choice("direction", self.direction, ("from_model", "from_reference"))
        if is_array(self.reference):
            self._check_samples()
        elif not callable(self.reference):
            kind = type(self.reference).__qualname__
            raise TypeError(f"`reference` must be an energy or an array of samples; got {kind}")
        elif self.batch_size is not None or self.weights is not None:
            raise ValueError("`batch_size` and `weights` are of samples; got an energy")

    def _check_samples(self) -> None:
        check_dtype("reference", self.reference)
        if self.direction == "from_model":
            raise ValueError(
                "`reference` must be an energy for direction='from_model': the divergence from "
                "samples is infinite; got an array"
            )
        count = self.reference.shape[0] if self.reference.ndim else 0
        if count == 0:
            raise ValueError("`reference` must hold at least one sample; got none")
        if self.weights is not None:
            check_weights(backend_of(self.reference), self.weights, (count,))
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, minimum=1)

    def _gap(self, law: Law) -> Array:
        """Return (V0 - V) / temperature."""
        given = (law.x,) if self.params is None else (law.x, self.params)
        v, v0 = law.energy(law.x, law.params), self.reference(*given)
        xp = backend_of(v, v0).namespace
        info = check_dtype("energy(x, params)", v)
        if tuple(v0.shape) != tuple(v.shape):
            raise ValueError(
                f"`reference` must return one number a particle, of shape {tuple(v.shape)}; "
                f"got {tuple(v0.shape)}"
            )
        return (widen(xp, v0, info) - widen(xp, v, info)) * (1.0 / law.temperature)

    def of(self, law: Law) -> Array:
        """Return the divergence, as the particles estimate it."""
        if is_array(self.reference):
            samples, given = self.reference, self.weights
            if law.rng is not None:
                samples, given = self._batch(law)
            data = mean_of(law.energy(samples, law.params), samples, given)
            ours = mean_of(law.energy(law.x, law.params), law.x, law.weights)
            return (data - ours) * (1.0 / law.temperature)
        gap = self._gap(law)
        xp = backend_of(gap).namespace
        logs = _log_shares(gap, law.weights)
        # The mean of exp(-gap) is the ratio of the normalisers.
        ratio = logsumexp(logs - gap, axis=-1)
        if self.direction == "from_model":
            return mean_of(gap, law.x, law.weights) + ratio
        tilted = shares_of(logs - gap)
        return -xp.sum(tilted * gap, axis=-1) - ratio

    def pulls(self, law: Law) -> tuple[Pull, ...]:
        """Return the factors of the covariance, or those of samples and particles."""
        if is_array(self.reference):
            return self._contrast(law)
        gap = stop_gradient(self._gap(law))
        if self.direction == "from_model":
            return law.covariance_with(gap)
        logs = _log_shares(gap, law.weights)
        names = backend_of(gap).namespace
        factors = (shares_of(logs - gap) - names.exp(logs)) * (1.0 / law.temperature)
        return ((law.x, factors),)

    def _contrast(self, law: Law) -> tuple[Pull, ...]:
        samples, given = self._batch(law)
        samples = stop_gradient(samples)
        x = law.x
        if tuple(x.shape[1:]) != tuple(samples.shape[1:]):
            raise ValueError(
                f"`x` must have shape (n, *event) with the event {tuple(samples.shape[1:])} of the "
                f"samples; got {tuple(x.shape)}"
            )
        backend = backend_of(x, samples)
        names, like = backend.namespace, widen(backend.namespace, x, check_dtype("x", x))

        def equal(points: Array) -> Array:
            device = backend_of(x).device_of(x)
            return names.zeros((points.shape[0],), dtype=like.dtype, device=device)

        model = names.exp(_log_shares(equal(x), law.weights)) * (-1.0 / law.temperature)
        data = names.exp(_log_shares(equal(samples), given)) * (1.0 / law.temperature)
        return (x, model), (samples, data)

    def _batch(self, law: Law) -> tuple[Array, Array | None]:
        """Return samples and their weights: all, or a batch that is drawn."""
        if self.batch_size is None:
            return self.reference, self.weights
        return self._drawn(self.reference, law.rng), None

    def _drawn(self, samples: Array, rng: Any) -> Array:
        """Return a batch of samples, drawn by their weights."""
        if rng is None:
            raise ValueError("`rng` must be given where `batch_size` is; got None")
        backend = backend_of(samples)
        xp, count = backend.namespace, samples.shape[0]
        u = uniform(seeded(rng), (self.batch_size or 1,), like=samples)
        if self.weights is None:
            place = xp.astype(xp.floor(u * count), xp.int32)
        else:
            edges = xp.cumulative_sum(self.weights)
            place = xp.searchsorted(edges, u * edges[-1], side="right")
        # The product may round up to the number of samples.
        return xp.take(samples, xp.where(place < count, place, xp.zeros_like(place)), axis=0)


def _log_shares(like: Array, weights: Array | None) -> Array:
    """Return the logarithms of weights with sum 1, equal ones without any."""
    backend = backend_of(like)
    xp = backend.namespace
    if weights is None:
        given = xp.zeros_like(like)
    else:
        check_weights(backend, weights, tuple(like.shape))
        given = xp.astype(weights, like.dtype)
        positive = given > 0
        logs = xp.log(xp.where(positive, given, xp.ones_like(given)))
        given = xp.where(positive, logs, xp.full_like(given, -float("inf")))
    return given - logsumexp(given, axis=-1, keepdims=True)
