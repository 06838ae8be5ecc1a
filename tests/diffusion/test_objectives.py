"""Objectives: gradients against derivatives of closed forms, and the algebra of sums."""

import numpy as np
import pytest

import fenchel
from fenchel.diffusion import (
    Energy,
    Entropy,
    KLToReference,
    PathKL,
    Reward,
    implicit_gradient,
)
from fenchel.random import RandomStream
from tests.diffusion.laws import HEXAGON, draws, flat, hexagon, well

LOGITS = np.asarray([1.5, 0.0, 1.5, 0.0, 1.5, 0.0])


def spread(x, log_scale):
    """exp(log_scale) x^2 / 2 in one dimension: a Gaussian of known entropy."""
    xp = fenchel.namespace(x, log_scale)
    return xp.exp(log_scale) * xp.sum(x**2, axis=-1) / 2


def nodes():
    return np.linspace(-8.0, 8.0, 1601)[:, None]


def gaussian_weights(precision, temperature=1.0):
    return np.exp(-precision * nodes()[:, 0] ** 2 / (2 * temperature))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_entropy_and_divergences_of_gaussians(xp, temperature):
    """Precision a = exp(s): entropy -s/2, KL to precision 1 (s + 1/a - 1)/2, back (a - 1 - s)/2."""
    s = 0.4
    a = np.exp(s)
    energy = Energy(spread)
    options = {
        "weights": xp.array(gaussian_weights(a, temperature)),
        "temperature": temperature,
    }
    params, x = xp.array(s), xp.array(nodes())
    reference = KLToReference(energy, params=xp.array(0.0))
    back = KLToReference(energy, "from_reference", params=xp.array(0.0))
    cases = [
        (Entropy(), -0.5, None),
        (reference, 0.5 * (1 - 1 / a), 0.5 * (s + 1 / a - 1)),
        (back, 0.5 * (a - 1), 0.5 * (a - 1 - s)),
    ]
    for objective, slope, value in cases:
        found = xp.run(lambda p, o=objective: o.gradient(energy, p, x, **options), params)
        assert float(found) == pytest.approx(slope, abs=1e-9), objective
        if value is not None:
            found = xp.run(lambda p, o=objective: o.value(energy, p, x, **options), params)
            assert float(found) == pytest.approx(value, abs=1e-9), objective


def test_no_divergence_from_itself(xp):
    """For any particles, also where the energies differ by a constant."""
    energy, logits = hexagon(xp), xp.array(LOGITS)
    shifted = KLToReference(lambda x: energy(x, logits) + 3.0)
    x = xp.array(3 * draws(0, 30, 2))
    for direction in ("from_model", "from_reference"):
        kl = KLToReference(shifted.reference, direction)
        found = xp.run(lambda p, kl=kl: kl.gradient(energy, p, x), logits)
        np.testing.assert_allclose(xp.numpy(found), 0.0, atol=1e-13)
        assert abs(float(kl.value(energy, logits, x))) < 1e-13


def test_values_are_not_negative():
    energy = hexagon(_numpy())
    for seed in range(20):
        x, p, q = 4 * draws(seed, 10, 2), draws(seed, 6), draws(seed + 1, 6)
        for direction in ("from_model", "from_reference"):
            assert KLToReference(energy, direction, params=q).value(energy, p, x) >= 0


def _numpy():
    from tests import libraries

    return libraries.get("numpy")


def test_a_descent_step_lowers_the_divergence_from_the_reference():
    """0.07658 to 0.07413 on the hexagon, where the weights are all that differs."""
    reference = np.asarray([0.3, 0.05, 0.25, 0.05, 0.3, 0.05])
    start = np.exp(LOGITS) / np.exp(LOGITS).sum()
    energy = hexagon(_numpy())

    grid = np.linspace(-9.0, 9.0, 181)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    parts = np.exp(-((x[:, None, :] - HEXAGON) ** 2).sum(axis=-1) / 2)

    def divergence(logits):
        weights = np.exp(logits) / np.exp(logits).sum()
        p, q = parts @ reference, parts @ weights
        kept = p > 0
        return (p * np.log(np.where(kept, p / q, 1.0)))[kept].sum() / p.sum()

    kl = KLToReference(x, "from_reference", weights=parts @ reference)
    slope = kl.gradient(energy, LOGITS, x, weights=parts @ start)
    step = 1e-5
    for i in range(6):
        moved = step * np.eye(6)[i]
        expected = (divergence(LOGITS + moved) - divergence(LOGITS - moved)) / (2 * step)
        assert slope[i] == pytest.approx(expected, abs=1e-7)
    assert divergence(LOGITS - 0.1 * slope) < divergence(LOGITS) < divergence(LOGITS + 0.1 * slope)


def test_sums_are_linear(xp):
    x, params = xp.array(draws(0, 12, 2)), xp.array([0.5, -1.0])
    data = xp.array(1 + draws(1, 7, 2))
    reward = Reward(lambda x: fenchel.namespace(x).sum(x, axis=-1) ** 3)
    kl, contrast = (
        KLToReference(well, params=xp.array([0.0, 0.0])),
        KLToReference(data, "from_reference"),
    )
    total = -reward + 0.5 * kl - 2.0 * (contrast - Entropy()) * 0.25

    def at(objective):
        slope = xp.run(lambda p: objective.gradient(well, p, x), params)
        return np.concatenate([xp.numpy(slope), [float(objective.value(well, params, x))]])

    expected = -at(reward) + 0.5 * at(kl) - 0.5 * at(contrast) + 0.5 * at(Entropy())
    np.testing.assert_allclose(at(total), expected, rtol=1e-10, atol=1e-12)


def test_rewards_may_be_black_boxes(xp):
    """Numbers that no library can differentiate, computed on the host."""
    host = draws(0, 12, 2)
    x, params = xp.array(host), xp.array([0.5, -1.0])
    reward = Reward(lambda x: xp.array(np.floor(3 * host[:, 0])))
    found = reward.gradient(well, params, x)
    expected = implicit_gradient(well, params, x, xp.array(np.floor(3 * host[:, 0])))
    np.testing.assert_allclose(xp.numpy(found), xp.numpy(expected), rtol=1e-13)


def test_the_contrastive_gradient(xp):
    """Mean slope on the data minus mean slope on the particles, and batches of the data."""
    data, x = 1 + draws(0, 40, 2), draws(1, 9, 2)
    center = xp.array([0.2, 0.3])
    kl = KLToReference(xp.array(data), "from_reference")
    found = flat(xp, xp.run(lambda p: kl.gradient(well, p, xp.array(x)), center))
    np.testing.assert_allclose(found, x.mean(axis=0) - data.mean(axis=0), rtol=1e-12)
    weights = np.arange(40.0)
    batched = KLToReference(
        xp.array(data), "from_reference", weights=xp.array(weights), batch_size=3000
    )
    found = xp.run(lambda p: batched.gradient(well, p, xp.array(x), rng=RandomStream(0)), center)
    expected = x.mean(axis=0) - weights @ data / weights.sum()
    np.testing.assert_allclose(flat(xp, found), expected, atol=0.1)


def test_errors(xp):
    data = xp.array(draws(0, 5, 2))
    with pytest.raises(
        ValueError, match="`reference` must be an energy for direction='from_model'"
    ):
        KLToReference(data)
    with pytest.raises(ValueError, match="`direction` must be one of"):
        KLToReference(well, "forward")
    with pytest.raises(TypeError, match="`reference` must be an energy or an array"):
        KLToReference(3.0)
    with pytest.raises(ValueError, match="must hold at least one sample"):
        KLToReference(data[:0, ...], "from_reference")
    with pytest.raises(ValueError, match=r"`weights` must have shape \(5,\)"):
        KLToReference(data, "from_reference", weights=xp.array([1.0]))
    with pytest.raises(ValueError, match="are of samples; got an energy"):
        KLToReference(well, batch_size=3)
    with pytest.raises(ValueError, match="`rng` must be given"):
        KLToReference(data, "from_reference", batch_size=3).gradient(
            well, xp.array([0.0, 0.0]), data
        )
    with pytest.raises(TypeError):
        Reward(lambda x: x) * "2"
    with pytest.raises(TypeError):
        Reward(lambda x: x) + 2.0
    with pytest.raises(TypeError, match="takes a sampler that differentiates paths"):
        PathKL(lambda y, t: y).gradient(well, xp.array([0.0, 0.0]), data)
