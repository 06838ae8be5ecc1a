"""Sheets of digits that a denoiser draws, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.diffusion import DenoisingSampler, PathKL

from ..paper import Run
from .score import HORIZON, STEPS, digits, score

__all__ = ["BATCH", "RATE", "UPDATES", "Sheet", "brightness", "drawn", "step_with_cost"]

UPDATES, BATCH, RATE = 100, 16, 3e-4


def brightness(images: Array) -> Array:
    """Return the mean pixel of each image, 0 for black and 1 for white."""
    return (namespace(images).mean(images, axis=-1) + 1.0) * 0.5


@dataclass(frozen=True)
class Sheet:
    """Images of a denoiser, how bright they are and how far their paths are from the first's."""

    images: Any
    brightness: float
    path_kl: float

    @property
    def classes(self) -> int:
        """How many of the ten digits there are, by their five nearest neighbours in the data."""
        from sklearn.neighbors import KNeighborsClassifier

        known, labels = digits()
        judge = KNeighborsClassifier(5).fit(known, labels)
        return len(set(judge.predict(self.images).tolist()))


def step_with_cost(sampler: DenoisingSampler, reference: PathKL) -> Callable[..., Any]:
    """Return a step of the sampler that also gives what it adds to the divergence of the path."""

    def step(state: Any, params: Any) -> tuple[Any, Array]:
        xp = namespace(state.x)
        elapsed = xp.astype(state.t, state.x.dtype) * sampler.step_size
        t = sampler.times(state.x, elapsed)
        rate = reference.rate(score(state.x, t, params), state.x, t)
        return sampler.step(state, params), rate * sampler.step_size

    return step


def drawn(run: Run, params: Any, first: Any, count: int = 500) -> Sheet:
    """Draw images, and measure the divergence of their paths from those of the first denoiser."""
    sampler = DenoisingSampler(score, HORIZON, STEPS, shape=(count, 64))
    reference = PathKL(lambda y, t: score(y, t, first))

    advance, total = run.library.compiled(step_with_cost(sampler, reference)), 0.0
    state = sampler.init(12345, params)
    for _ in range(STEPS):
        state, cost = advance(state, params)
        total += float(cost)
    images = run.library.numpy(state.x)
    return Sheet(images, float(brightness(images).mean()), total)
