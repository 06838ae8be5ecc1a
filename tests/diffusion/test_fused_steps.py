"""Samplers take the kernels of their energies where they may, with the numbers of the formulas."""

import numpy as np
import pytest

import fenchel
from fenchel.diffusion import GaussianMixture, LangevinSampler, MLPEnergy, langevin_step
from fenchel.random import RandomStream

RNG = np.random.default_rng(0)
MEANS, LOGITS = RNG.normal(size=(3, 2)), RNG.normal(size=3)


@pytest.mark.parametrize("kind", ["mixture", "network"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_steps_at_once(library, kind):
    array = np.asarray if library == "numpy" else pytest.importorskip("torch").asarray
    if kind == "mixture":
        energy, logits = GaussianMixture(array(MEANS), scale=0.7), array(LOGITS)
    else:
        energy = MLPEnergy((5, 4), confinement=0.6)
        logits = energy.init(0, 2, like=array(LOGITS))
    sampler = LangevinSampler(energy, step_size=0.1, shape=(301, 2), temperature=1.3)
    state, x = sampler.init(0, logits), array(RNG.normal(size=(5, 2)))

    def results():
        return (
            sampler.run(state, logits, 4).x,
            langevin_step(energy, x, logits, 0.1, rng=RandomStream(3)),
            langevin_step(energy, x, logits, 0.1, rng=3, temperature=0.0),
            langevin_step(energy, x, logits, 0.1, noise=x, temperature=2.0),
        )

    at_once = results()
    with fenchel.use_kernels(False):
        formulas = results()
    for found, expected in zip(at_once, formulas, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_derivatives_are_those_of_the_formula():
    energy = GaussianMixture(MEANS)
    x = RNG.normal(size=(5, 2))

    def value(logits):
        moved = langevin_step(energy, x, logits, 0.1, rng=RandomStream(3))
        return fenchel.namespace(moved).sum(moved**2)

    expected = fenchel.autodiff.grad(value, method="finite")(LOGITS)
    np.testing.assert_allclose(fenchel.grad(value)(LOGITS), expected, atol=1e-8)
    torch = pytest.importorskip("torch")
    energy, x = GaussianMixture(torch.asarray(MEANS)), torch.asarray(x)
    logits = torch.asarray(LOGITS).requires_grad_()
    value(logits).backward()
    np.testing.assert_allclose(logits.grad, expected, atol=1e-8)
