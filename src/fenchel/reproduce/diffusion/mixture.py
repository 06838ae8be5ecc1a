"""The mixture of six Gaussians on a hexagon, with its rewards, and what is exactly known of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.diffusion import GaussianMixture, LangevinSampler
from fenchel.special import expit

from ..paper import Run

__all__ = ["START", "expected", "hard", "hexagon", "means", "sampler", "smooth", "weights"]

START = (1.5, 0.0, 1.5, 0.0, 1.5, 0.0)


def means() -> Any:
    """Return the six means, of shape (6, 2)."""
    import numpy as np

    angles = np.pi / 3 * np.arange(6)
    return 4.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def hexagon(run: Run) -> GaussianMixture:
    """Return the energy; its parameters are the logits of the components."""
    return GaussianMixture(run.library.array(means()))


def sampler(run: Run, particles: int, n_steps: int | None = None) -> LangevinSampler:
    """Return particles on the hexagon, of step size 0.2."""
    energy = hexagon(run)
    return LangevinSampler(energy, step_size=0.2, shape=(particles, 2), n_steps=n_steps)


def _bump(x: Array) -> Array:
    xp = namespace(x)
    return xp.exp(((x[..., 0] - 4.0) ** 2 + (x[..., 1] - 3.8) ** 2) * -0.05)


def hard(x: Array) -> Array:
    """Return the reward that is cut off on the left half: it has no derivative there."""
    xp = namespace(x)
    return xp.where(x[..., 0] >= 0, _bump(x), xp.zeros_like(x[..., 0])) / 2.5


def smooth(x: Array) -> Array:
    """Return the reward that fades to the left."""
    return expit(x[..., 0] * 2.0) * _bump(x) / 0.7


def weights(run: Run, logits: Array) -> Any:
    """Return the weights of the components, by NumPy."""
    import numpy as np

    raised = run.library.numpy(logits)
    raised = np.exp(raised - raised.max())
    return raised / raised.sum()


@cache
def _by_component(kind: str) -> Any:
    """Return the mean reward of each component, by the trapezoidal rule."""
    import numpy as np

    grid = np.linspace(-11.0, 11.0, 881)
    x = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    rewards = (hard if kind == "hard" else smooth)(x)
    found = []
    for mean in means():
        density = np.exp(-((x - mean) ** 2).sum(axis=-1) / 2)
        found.append(float((density * rewards).sum() / density.sum()))
    return np.asarray(found)


def expected(run: Run, logits: Array, kind: str = "hard") -> float:
    """Return the exact mean reward."""
    return float(weights(run, logits) @ _by_component(kind))
