"""Divergence of the law of particles from a reference, in both directions."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..arrays import check_choice, check_dtype, widen
from ..autodiff import stop_gradient
from ..backend import backend_of
from ..random import RandomStream, uniform
from ..special import logsumexp
from ..trees import is_array
from .gradients import Pull, covariance_pull
from .objectives import Objective, mean_of
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
    ValueError
        If the direction is unknown, or samples are given where an energy is needed.

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
    _: KW_ONLY
    weights: Array | None = None
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
        if self.weights is not None and tuple(self.weights.shape) != (count,):
            raise ValueError(
                f"`weights` must have shape {(count,)}; got {tuple(self.weights.shape)}"
            )
        if self.batch_size is not None and not self.batch_size >= 1:
            raise ValueError(f"`batch_size` must be at least 1; got {self.batch_size}")

    def _gap(self, energy: Any, params: Tree, x: Array, temperature: float) -> Array:
        """Return (V0 - V) / temperature."""
        given = (x,) if self.params is None else (x, self.params)
        v, v0 = energy(x, params), self.reference(*given)
        xp = backend_of(v, v0).namespace
        info = check_dtype("energy(x, params)", v)
        return (widen(xp, v0, info) - widen(xp, v, info)) * (1.0 / temperature)

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
        """Return the divergence, as the particles estimate it."""
        if is_array(self.reference):
            samples, given = self.reference, self.weights
            if self.batch_size is not None and rng is not None:
                samples, given = self._drawn(samples, rng), None
            data = mean_of(energy(samples, params), given)
            return (data - mean_of(energy(x, params), weights)) * (1.0 / temperature)
        gap = self._gap(energy, params, x, temperature)
        xp = backend_of(gap).namespace
        logs = _log_shares(gap, weights)
        # The mean of exp(-gap) is the ratio of the normalisers.
        ratio = logsumexp(logs - gap, axis=-1)
        if self.direction == "from_model":
            return mean_of(gap, weights) + ratio
        tilted = shares_of(logs - gap)
        return -xp.sum(tilted * gap, axis=-1) - ratio

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
        """Return the factors of the covariance, or those of samples and particles."""
        if is_array(self.reference):
            return self._contrast(energy, params, x, weights, temperature, rng)
        gap = stop_gradient(self._gap(energy, stop_gradient(params), x, temperature))
        if self.direction == "from_model":
            return (covariance_pull(x, gap, weights, ddof, temperature),)
        logs = _log_shares(gap, weights)
        names = backend_of(gap).namespace
        return ((x, (shares_of(logs - gap) - names.exp(logs)) * (1.0 / temperature)),)

    def _contrast(
        self,
        energy: Any,
        params: Tree,
        x: Array,
        weights: Array | None,
        temperature: float,
        rng: Any,
    ) -> tuple[Pull, ...]:
        samples, given = stop_gradient(self.reference), self.weights
        if self.batch_size is not None:
            samples, given = self._drawn(samples, rng), None
        n_axes = x.ndim - (samples.ndim - 1)
        lead, names = tuple(x.shape[:n_axes]), backend_of(x, samples).namespace
        like = widen(names, x, check_dtype("x", x))
        if n_axes != 1:
            raise ValueError(f"`x` must have shape (n, *event) with samples; got {tuple(x.shape)}")
        ours = names.zeros(lead, dtype=like.dtype, device=backend_of(x).device_of(x))
        theirs = names.zeros(
            (samples.shape[0],), dtype=like.dtype, device=backend_of(x).device_of(x)
        )
        model = names.exp(_log_shares(ours, weights)) * (-1.0 / temperature)
        data = names.exp(_log_shares(theirs, given)) * (1.0 / temperature)
        return (x, model), (samples, data)

    def _drawn(self, samples: Array, rng: Any) -> Array:
        """Return a batch of samples, drawn by their weights."""
        if rng is None:
            raise ValueError("`rng` must be given where `batch_size` is; got None")
        backend = backend_of(samples)
        xp, count = backend.namespace, samples.shape[0]
        stream = RandomStream(rng) if isinstance(rng, int) else rng
        u = uniform(stream, (self.batch_size or 1,), like=samples)
        if self.weights is None:
            place = xp.astype(xp.floor(u * count), xp.int32)
        else:
            edges = xp.cumulative_sum(self.weights)
            place = xp.searchsorted(edges, u * edges[-1], side="right")
        # The product may round up to the number of samples.
        return xp.take(samples, xp.where(place < count, place, xp.zeros_like(place)), axis=0)


def _log_shares(like: Array, weights: Array | None) -> Array:
    """Return the logarithms of weights with sum 1, equal ones without any."""
    xp = backend_of(like).namespace
    if weights is None:
        given = xp.zeros_like(like)
    else:
        given = xp.astype(weights, like.dtype)
        positive = given > 0
        logs = xp.log(xp.where(positive, given, xp.ones_like(given)))
        given = xp.where(positive, logs, xp.full_like(given, -float("inf")))
    return given - logsumexp(given, axis=-1, keepdims=True)
