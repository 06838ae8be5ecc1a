"""Implicit diffusion: parameters of a sampler, optimised through what it samples.

An energy or a score has parameters; a sampler runs particles; an objective names what the law of
the particles should maximise or stay close to; `ImplicitDiffusion` does one step of each at a time.
The protocol that ties them together is in `fenchel.diffusion.state`. Every name is imported on
first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ..random import RandomStream
    from ._loop_state import Diagnostics, ImplicitState
    from .adjoint import PathGradient, sde_adjoint
    from .compare import GradientReport, compare_gradients
    from .denoising import DenoisingSampler
    from .energies import Energy, GaussianMixture, MLPEnergy
    from .gradients import implicit_expectation, implicit_gradient
    from .kl import KLToReference
    from .langevin import LangevinSampler, langevin_step
    from .loop import ImplicitDiffusion
    from .objectives import Entropy, Objective, Reward
    from .optimizers import Descent
    from .path_kl import PathKL
    from .reweighting import effective_sample_size, importance_weights, resample
    from .state import SamplerState

_HOME = {
    ".random": ("RandomStream",),
    "adjoint": ("PathGradient", "sde_adjoint"),
    "compare": ("GradientReport", "compare_gradients"),
    "denoising": ("DenoisingSampler",),
    "energies": ("Energy", "GaussianMixture", "MLPEnergy"),
    "gradients": ("implicit_expectation", "implicit_gradient"),
    "langevin": ("LangevinSampler", "langevin_step"),
    "_loop_state": ("Diagnostics", "ImplicitState"),
    "kl": ("KLToReference",),
    "loop": ("ImplicitDiffusion",),
    "objectives": ("Entropy", "Objective", "Reward"),
    "optimizers": ("Descent",),
    "path_kl": ("PathKL",),
    "reweighting": ("effective_sample_size", "importance_weights", "resample"),
    "state": ("SamplerState",),
}

__all__ = [
    "DenoisingSampler",
    "Descent",
    "Diagnostics",
    "Energy",
    "Entropy",
    "GaussianMixture",
    "GradientReport",
    "ImplicitDiffusion",
    "ImplicitState",
    "KLToReference",
    "LangevinSampler",
    "MLPEnergy",
    "Objective",
    "PathGradient",
    "PathKL",
    "RandomStream",
    "Reward",
    "SamplerState",
    "compare_gradients",
    "effective_sample_size",
    "implicit_expectation",
    "implicit_gradient",
    "importance_weights",
    "langevin_step",
    "resample",
    "sde_adjoint",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
