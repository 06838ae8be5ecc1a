"""Diffusion: energies of mixtures, steps of particles, weights, expectations."""

from __future__ import annotations

from typing import Any

from ... import diffusion
from ..operator import Operator
from ..samples import normal, sample, uniform

__all__ = ["ENTRIES"]

Array = Any
HOME = "fenchel.diffusion"
HERE = "fenchel.testing.catalogue.diffusion"
PARTICLES, LOGITS, MEANS = normal(5, 2), normal(3), normal(3, 2, scale=2.0)


def mixture_energy(x: Array, logits: Array, means: Array, /) -> Array:
    """Return the energies of particles under a mixture."""
    return diffusion.GaussianMixture(means)(x, logits)


def mixture_slope(x: Array, logits: Array, means: Array, /) -> Array:
    """Return the gradients of the energies in the particles."""
    return diffusion.GaussianMixture(means).grad_x(x, logits)


def mixture_step(x: Array, logits: Array, means: Array, noise: Array, /) -> Array:
    """Return particles after a step on a mixture."""
    energy = diffusion.GaussianMixture(means)
    return diffusion.langevin_step(energy, x, logits, 0.2, noise=noise, temperature=0.7)


def mixture_weights(x: Array, old: Array, new: Array, means: Array, /) -> Array:
    """Return the weights of particles for other logits."""
    energy = diffusion.GaussianMixture(means)
    return diffusion.importance_weights(energy, x, old, new, temperature=0.7)


ENTRIES = (
    Operator(
        "GaussianMixture",
        f"{HERE}:mixture_energy",
        sample(PARTICLES, LOGITS, MEANS),
        differentiable=(0, 1, 2),
    ),
    Operator(
        "GaussianMixture.grad_x",
        f"{HERE}:mixture_slope",
        sample(PARTICLES, LOGITS, MEANS),
        differentiable=(0, 1, 2),
    ),
    Operator(
        "langevin_step(mixture)",
        f"{HERE}:mixture_step",
        sample(PARTICLES, LOGITS, MEANS, PARTICLES),
        differentiable=(0, 1, 2, 3),
    ),
    Operator(
        "importance_weights(mixture)",
        f"{HERE}:mixture_weights",
        sample(PARTICLES, LOGITS, LOGITS, MEANS),
        differentiable=(0, 1, 2, 3),
    ),
    Operator(
        "effective_sample_size", f"{HOME}:effective_sample_size", sample(uniform(0.1, 1, 2, 5))
    ),
)
