"""Langevin dynamics: one step by hand, the law it draws from, and the same particles everywhere."""

import pickle

import numpy as np
import pytest

import fenchel
from fenchel.diffusion import (
    Energy,
    LangevinSampler,
    effective_sample_size,
    importance_weights,
    langevin_step,
    resample,
)
from fenchel.random import RandomStream
from tests.diffusion.laws import draws, hexagon, well


def test_one_step_by_hand(xp):
    x, noise, center = draws(0, 5, 2), draws(1, 5, 2), np.asarray([1.0, -2.0])
    found = xp.run(
        lambda x, c, z: langevin_step(well, x, c, 0.3, noise=z, temperature=0.5),
        *map(xp.array, (x, center, noise)),
    )
    np.testing.assert_allclose(
        xp.numpy(found), x - 0.3 * (x - center) + np.sqrt(0.3) * noise, rtol=1e-14, atol=1e-15
    )


def test_steps_are_differentiable(xp):
    x, noise = xp.array(draws(0, 4, 1)), xp.array(draws(1, 4, 1))

    def total(center):
        return xp.namespace.sum(langevin_step(well, x, center, 0.3, noise=noise))

    if xp.name in ("numpy", "torch", "jax"):
        assert float(fenchel.grad(total)(xp.array([0.5]))[0]) == pytest.approx(4 * 0.3)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12)])
def test_the_same_particles_on_every_library(xp, dtype, tolerance):
    """Twenty steps on the hexagon, against the same arithmetic by NumPy in the same dtype."""
    logits = np.asarray([1.5, 0.0, 1.5, 0.0, 1.5, 0.0], dtype=dtype)

    def walked(library):
        energy = hexagon(library, dtype)
        sampler = LangevinSampler(energy, step_size=0.2, shape=(40, 2))

        params = library.array(logits, dtype=dtype)
        return library.numpy(sampler.run(sampler.init(RandomStream(7), params), params, 20).x)

    from tests import libraries

    expected = walked(libraries.get("numpy"))
    found = walked(xp)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=4 * tolerance)


def test_slots_draw_what_their_batches_would(xp):
    """A queue of two batches at times of their own is each of them."""
    center = xp.array([0.5])
    sampler = LangevinSampler(well, step_size=lambda t: 0.1 / (t + 1.0), shape=(6, 1))
    streams = [RandomStream(3, stream=s) for s in (4, 9)]
    old, young = (sampler.init(stream, center) for stream in streams)
    old = sampler.run(old, center, 3)
    names = fenchel.namespace(center)

    def both(a, b):
        if isinstance(a, RandomStream):
            return RandomStream(3, both(a.step, b.step), stream=both(a.stream, b.stream))
        return names.stack([a, b])

    queue = type(old)(*(both(getattr(old, n), getattr(young, n)) for n in ("x", "t", "stream")))
    moved = sampler.step(queue, center)
    for i, state in enumerate((old, young)):
        alone = sampler.step(state, center)
        np.testing.assert_allclose(xp.numpy(moved.x)[i], xp.numpy(alone.x), rtol=1e-13)
        assert int(moved.t[i]) == int(alone.t)


def test_covariance_of_the_unadjusted_law():
    """(A - step A^2 / 2)^-1, within five standard errors."""
    matrix = np.asarray([[2.0, 0.6], [0.6, 1.0]])
    energy = Energy(lambda x, p: np.sum((x @ matrix) * x, axis=-1) / 2, lambda x, p: x @ matrix)
    step, n = 0.3, 40_000
    sampler = LangevinSampler(energy, step_size=step, shape=(n, 2))
    x = sampler.run(sampler.init(0, np.zeros(1)), np.zeros(1), 60).x
    expected = np.linalg.inv(matrix - step * matrix @ matrix / 2)
    error = np.sqrt((np.outer(*[np.diag(expected)] * 2) + expected**2) / n)
    assert np.all(np.abs(x.T @ x / n - expected) < 5 * error)


def test_the_adjusted_law_has_no_bias():
    step, n = 0.9, 20_000
    plain, exact = (
        LangevinSampler(well, step_size=step, shape=(n, 1), adjust=adjust)
        for adjust in (False, True)
    )
    center = np.zeros(1)
    x = exact.run(exact.init(0, center), center, 40).x
    assert abs(np.mean(x**2) - 1.0) < 5 * np.sqrt(2 / n)
    y = plain.run(plain.init(0, center), center, 40).x
    assert abs(np.mean(y**2) - 1 / (1 - step / 2)) < 5 * np.sqrt(2 / n) / (1 - step / 2)


@pytest.mark.parametrize("heat", [1.0, 3.0])
def test_the_ratio_of_the_adjustment(xp, heat):
    """Against densities written out, for the mixture."""
    x, noise = 3 * draws(0, 30, 2), draws(1, 30, 2)
    u = np.random.default_rng(2).uniform(size=30)
    logits, step = np.zeros(6), 0.9
    energy = hexagon(xp)
    found = xp.numpy(
        xp.run(
            lambda x, p, z, u: langevin_step(
                energy, x, p, step, noise=(z, u), adjust=True, temperature=heat
            ),
            *map(xp.array, (x, logits, noise, u)),
        )
    )

    def mean(y):
        return y - step * xp.numpy(energy.grad_x(xp.array(y), xp.array(logits)))

    def log_law(y):
        return -xp.numpy(energy(xp.array(y), xp.array(logits))) / heat

    proposed = mean(x) + np.sqrt(2 * step * heat) * noise
    there = -((proposed - mean(x)) ** 2).sum(axis=1) / (4 * step * heat)
    back = -((x - mean(proposed)) ** 2).sum(axis=1) / (4 * step * heat)
    accepted = np.log(1 - u) < log_law(proposed) - log_law(x) + back - there
    assert 0 < accepted.sum() < 30
    np.testing.assert_allclose(found, np.where(accepted[:, None], proposed, x), rtol=1e-12)


def test_given_noise_and_no_steps(xp):
    center = xp.array([0.5])
    sampler = LangevinSampler(well, step_size=0.1, shape=(6, 1))
    state = sampler.init(0, center, start=xp.array(draws(0, 6, 1)))
    assert sampler.run(state, center, 0) is state
    noise = draws(1, 4, 6, 1)
    final = sampler.run(state, center, 4, noise=xp.array(noise))
    x = draws(0, 6, 1)
    for z in noise:
        x = x - 0.1 * (x - 0.5) + np.sqrt(0.2) * z
    np.testing.assert_allclose(xp.numpy(final.x), x, rtol=1e-12)
    assert int(final.t) == 4


def test_generators_seed_a_stream(xp):
    center = xp.array([0.0])
    sampler = LangevinSampler(well, step_size=0.1, shape=(4, 1))
    if xp.name == "torch":
        import torch

        rngs = [torch.Generator().manual_seed(5) for _ in range(2)]
    elif xp.name.startswith("jax"):
        import jax

        rngs = [jax.random.key(5)] * 2
    else:
        rngs = [np.random.default_rng(5) for _ in range(2)]
    one, two = (sampler.step(sampler.init(rng, center), center) for rng in rngs)
    np.testing.assert_array_equal(xp.numpy(one.x), xp.numpy(two.x))
    with pytest.raises(TypeError):
        sampler.init("seed", center)


def test_unstable_steps_are_found():
    sampler = LangevinSampler(well, step_size=1e60, shape=(3, 1))
    center = np.zeros(1)
    state = sampler.init(0, center)
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            FloatingPointError, match=r"from step (\d+) on, with `step_size`=1e\+60"
        ) as caught,
    ):
        sampler.run(state, center, 9)
    first = int(str(caught.value).split("from step ")[1].split()[0])
    with np.errstate(all="ignore"):
        assert np.isfinite(sampler.run(state, center, first).x).all()
        assert not np.isfinite(sampler.step(sampler.run(state, center, first), center).x).all()


def test_states_are_picklable(xp):
    if xp.name in ("strict-device1", "third-party"):
        pytest.skip("arrays that are not picklable")
    center = xp.array([0.0])
    sampler = LangevinSampler(well, step_size=0.1, shape=(4, 1))
    state = sampler.run(sampler.init(0, center), center, 2)
    again = pickle.loads(pickle.dumps(state)) if xp.name != "strict" else state
    np.testing.assert_array_equal(
        xp.numpy(sampler.step(again, center).x), xp.numpy(sampler.step(state, center).x)
    )


def test_staleness_of_a_gaussian():
    """The example of the paper's law: 1.7 exactly, 2.0 with stale particles, 0.91 of the sample."""
    x = draws(0, 200_000, 1)
    old, new = np.zeros(1), np.asarray([0.3])
    values = -0.5 * (x[:, 0] - 2.0) ** 2
    weights = importance_weights(well, x, old, new)
    assert float(effective_sample_size(weights)) == pytest.approx(np.exp(-0.09), abs=0.01)
    stale = fenchel.diffusion.implicit_gradient(well, new, x, values)
    fresh = fenchel.diffusion.implicit_gradient(well, new, x, values, weights=weights)
    assert abs(float(fresh[0]) - 1.7) < 0.03 < 0.2 < abs(float(stale[0]) - 1.7)


def test_weights_in_the_log_domain(xp):
    x = xp.array([[0.0], [50.0]])
    found = xp.run(
        lambda x, a, b: importance_weights(well, x, a, b), x, xp.array([-40.0]), xp.array([50.0])
    )
    np.testing.assert_allclose(xp.numpy(found), [0.0, 1.0], atol=1e-15)
    x = xp.array([[-1.0], [1.0]])
    found = xp.run(
        lambda x, a, b: importance_weights(well, x, a, b, temperature=4.0), x, xp.array([0.0]),
        xp.array([1.0]),
    )  # fmt: skip
    share = 1 / (1 + np.exp(-0.5))  # V(old) - V(new) is -1.5 and 0.5
    np.testing.assert_allclose(xp.numpy(found), [1 - share, share], rtol=1e-13)
    size = xp.run(effective_sample_size, xp.array([[1.0, 1.0, 1.0], [0.0, 5.0, 0.0]]))
    np.testing.assert_allclose(xp.numpy(size), [1.0, 1 / 3], rtol=1e-14)


def test_resampling_keeps_shares(xp):
    weights = np.asarray([0.5, 0.0, 3.2, 1.3])
    x = np.arange(4.0)
    for u in (0.0, 0.4, 0.999):
        found = xp.numpy(xp.run(resample, xp.array(x), xp.array(weights), xp.array(u)))
        count = np.bincount(found.astype(int), minlength=4)
        share = 4 * weights / weights.sum()
        assert np.all(np.abs(count - share) < 1)
        assert count[1] == 0


def test_errors(xp):
    center = xp.array([0.0])
    with pytest.raises(ValueError, match="`step_size` must be above 0"):
        LangevinSampler(well, step_size=0.0, shape=(3, 1))
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        LangevinSampler(well, step_size=0.1, shape=(3, 1), temperature=0.0)
    with pytest.raises(ValueError, match="`shape` must be"):
        LangevinSampler(well, step_size=0.1, shape=(0, 1))
    with pytest.raises(ValueError, match="`n_steps` must be at least 1"):
        LangevinSampler(well, step_size=0.1, shape=(3, 1), n_steps=0)
    sampler = LangevinSampler(well, step_size=0.1, shape=(3, 1))
    with pytest.raises(ValueError, match=r"`start` must have shape \(3, 1\)"):
        sampler.init(0, center, start=xp.array([0.0]))
    with pytest.raises(ValueError, match="`steps` must be at least 0"):
        sampler.run(sampler.init(0, center), center, -1)
    with pytest.raises(ValueError, match="exactly one of `rng` and `noise`"):
        langevin_step(well, xp.array([[0.0]]), center, 0.1)
    with pytest.raises(ValueError, match="`step_size` must be above 0"):
        langevin_step(well, xp.array([[0.0]]), center, -0.1, rng=0)
