"""Denoising samplers: the closed Gaussian case, adjoints against unrolled loops, queues."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fenchel
from fenchel.diffusion import (
    DenoisingSampler,
    Entropy,
    ImplicitDiffusion,
    PathKL,
    Reward,
    SamplerState,
    sde_adjoint,
)
from fenchel.random import RandomStream
from tests.diffusion.routes import compiled, run

T, N = 4.0, 64


def gaussian_score(y, t, center):
    """The score of N(center, 1), by arrays of any library."""
    xp = fenchel.namespace(y, t, center)
    return -xp.subtract(y, xp.exp(-t)[:, None] * center)


def tanh_score(y, t, p):
    xp = fenchel.namespace(y, t, p["w"])
    return xp.tanh(xp.matmul(y, p["w"]) + xp.multiply(t[:, None], p["b"])) - y


def means(center, steps=N):
    """Mean of the particles after all steps, from 0: the recursion of the means."""
    h, m = T / steps, 0.0
    for k in range(steps):
        m = m + h * (-m + 2.0 * np.exp(-(T - k * h)) * center)
    return m


def kept(sampler, state, params, steps):
    """Return all states of a batch, stacked."""
    states = [state.x]
    for _ in range(steps):
        state = sampler.step(state, params)
        states.append(state.x)
    return fenchel.namespace(state.x).stack(states)


def gaussian(steps=N, **options):
    return DenoisingSampler(gaussian_score, T, steps, shape=(3, 1), **options)


def test_the_mean_of_the_gaussian_case(xp):
    sampler, center = gaussian(), xp.array(2.0)
    start, noise = xp.array(np.zeros((3, 1))), xp.array(np.zeros((N, 3, 1)))

    def last(center, start, noise):
        state = sampler.init(0, center, start=start)
        return sampler.run(state, center, N, noise=noise).x

    found = xp.numpy(run(xp, last, center, start, noise))
    assert means(1.0) == pytest.approx(0.98400510676, rel=1e-10)
    np.testing.assert_allclose(found, means(2.0), rtol=1e-12)


def test_the_law_of_the_gaussian_case():
    sampler = DenoisingSampler(gaussian_score, T, N, shape=(40_000, 1))
    center = np.asarray(2.0)
    x = sampler.run(sampler.init(0, center), center, N).x
    h = T / N
    spread = (1 - h) ** (2 * N) + 2 * h * sum((1 - h) ** (2 * k) for k in range(N))
    assert np.mean(x) == pytest.approx(means(2.0), abs=5 * (spread / 40_000) ** 0.5)
    assert np.var(x) == pytest.approx(spread, abs=5 * spread * (2 / 40_000) ** 0.5)


def test_the_optimum_of_the_means():
    """F = (x - 1.5)^2 has a linear gradient in the center; it vanishes at 1.5 / c."""
    sampler = gaussian()
    objective = -Reward(lambda y: -((y[..., 0] - 1.5) ** 2))

    def slope(center):
        state = sampler.init(0, center, start=np.zeros((3, 1)))
        states = [state.x]
        for _ in range(N):
            state = sampler.step(state, center, noise=np.zeros((3, 1)))
            states.append(state.x)
        return float(sampler.gradient(objective, center, np.stack(states))[1])

    low, high = slope(np.asarray(0.0)), slope(np.asarray(1.0))
    assert -low / (high - low) == pytest.approx(1.52438233266, rel=1e-10)


class Means(DenoisingSampler):
    """The sampler without its noise: the recursion of the means."""

    def transition(self, x, t, params):
        return super().transition(x, t, params)[0], 0.0


@pytest.mark.parametrize("queue", [1, 4, 16])
def test_queues_of_means_reach_the_optimum(queue):
    sampler = Means(gaussian_score, T, 16, shape=(1, 1), start=lambda e: 0.0 * e)
    objective = Reward(lambda y: (y[..., 0] - 1.5) ** 2)
    loop = ImplicitDiffusion(sampler, objective, 0.15, queue=queue)
    state, _ = loop.run(loop.init(0, np.asarray(0.0)), 120, progress=False)
    assert float(state.params) == pytest.approx(1.5 / means(1.0, 16), rel=1e-10)


def test_reward_against_the_path(rng):
    """With R = x and the path divergence, the optimum is the reference + lambda / beta."""
    sampler, beta = gaussian(512), 2.0
    objective = -Reward(lambda y: y[..., 0]) + beta * PathKL(
        lambda y, t: gaussian_score(y, t, np.asarray(0.3))
    )

    def slope(center):
        states = kept(sampler, sampler.init(0, center), center, 512)
        return float(sampler.gradient(objective, center, states)[1])

    low, high = slope(np.asarray(0.0)), slope(np.asarray(1.0))
    assert -low / (high - low) == pytest.approx(0.3 + 1 / beta, abs=0.01)


@settings(max_examples=12)
@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(1, 20))
def test_path_divergence_bounds_that_of_the_laws(center, reference, steps):
    sampler = gaussian(steps)
    objective = PathKL(lambda y, t: gaussian_score(y, t, np.asarray(reference)))
    params = np.asarray(center)
    states = kept(sampler, sampler.init(3, params), params, steps)
    value, gradient = sampler.gradient(objective, params, states)
    h = T / steps
    rate = h * sum(np.exp(-2 * (T - k * h)) for k in range(steps))
    assert float(value) == pytest.approx(rate * (center - reference) ** 2, abs=1e-12)
    assert float(gradient) == pytest.approx(2 * rate * (center - reference), abs=1e-12)
    spread = (1 - h) ** (2 * steps) + 2 * h * sum((1 - h) ** (2 * k) for k in range(steps))
    law = 0.5 * means(center - reference, steps) ** 2 / spread
    assert float(value) >= law - 1e-12
    assert (float(value) == 0.0) == (center == reference) or float(value) < 1e-300


@pytest.mark.parametrize("kind", ["sde", "ode"])
def test_gradient_is_that_of_the_unrolled_loop(xp, kind):
    steps = 7
    rng = np.random.default_rng(0)
    params = {"w": xp.array(rng.normal(size=(2, 2))), "b": xp.array(rng.normal(size=2))}
    old = {"w": xp.array(rng.normal(size=(2, 2))), "b": xp.array(rng.normal(size=2))}
    noise = xp.array(rng.normal(size=(steps, 5, 2)))
    start = xp.array(rng.normal(size=(5, 2)))
    sampler = DenoisingSampler(tanh_score, 1.0, steps, kind=kind, shape=(5, 2))
    h, sde = 1.0 / steps, kind == "sde"

    def reward(y):
        return fenchel.namespace(y).sum(y * y * y, axis=-1)

    def reference(y, t):
        return tanh_score(y, t, old)

    objective = -0.7 * Reward(reward)
    objective = objective + 0.3 * PathKL(reference) if sde else objective

    def adjoint(params, y, noise):
        states = [y]
        for k in range(steps):
            mean, scale = sampler.transition(states[-1], xp.namespace.asarray(k), params)
            states.append(mean + scale * noise[k, ...])
        return sampler.gradient(objective, params, xp.namespace.stack(states))

    def unrolled(params, y, noise):
        total = 0.0
        names = fenchel.namespace(y)
        for k in range(steps):
            t = xp.array(np.full(5, max(1.0 - k * h, 0.02)))
            s = tanh_score(y, t, params)
            if sde:
                apart = names.subtract(s, reference(y, t))
                total = total + 0.3 * h * names.sum(apart * apart) / 5
            y = y + h * (y + (2.0 if sde else 1.0) * s)
            if sde:
                y = y + (2 * h) ** 0.5 * noise[k, ...]
        return total - 0.7 * names.mean(reward(y))

    value, slope = run(xp, adjoint, params, start, noise)
    # The states are differentiated too, for libraries that do not mix traced and plain arrays.
    both = lambda p, y, e: fenchel.value_and_grad(unrolled, (0, 1))(p, y, e)
    expected, (wanted, _) = run(xp, both, params, start, noise)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for name in wanted:
        np.testing.assert_allclose(
            xp.numpy(slope[name]), xp.numpy(wanted[name]), rtol=1e-10, atol=1e-12
        )


def test_gradient_along_kept_states_is_that_of_the_adjoint_that_simulates():
    steps = 9
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(2, 2)), "b": rng.normal(size=2)}
    sampler = DenoisingSampler(tanh_score, 1.0, steps, shape=(5, 2))
    state = sampler.init(RandomStream(3), params)
    states = kept(sampler, state, params, steps)
    objective = Reward(lambda y: y[..., 0])
    value, slope = sampler.gradient(objective, params, states)
    for memory in ("stored", "checkpoint"):
        found = sde_adjoint(
            sampler.drift, params, state.x, step_size=sampler.step_size, n_steps=steps,
            terminal=lambda y: np.mean(y[:, 0]), rng=RandomStream(3, step=1), memory=memory,
        )  # fmt: skip
        assert float(found.value) == pytest.approx(float(value), rel=1e-12)
        np.testing.assert_allclose(found.final, states[-1], rtol=1e-12)
        np.testing.assert_allclose(found.gradient["w"], slope["w"], rtol=1e-10)


def test_slots_at_times_of_their_own_are_batches_of_their_own(xp):
    sampler = DenoisingSampler(tanh_score, 1.0, 8, shape=(4, 2))
    rng = np.random.default_rng(0)
    params = {"w": xp.array(rng.normal(size=(2, 2))), "b": xp.array(rng.normal(size=2))}
    names = xp.namespace

    step = compiled(xp, sampler.step)
    alone = []
    for number, steps in enumerate((0, 1, 3)):
        state = sampler.init(RandomStream(7, stream=number), params)
        for _ in range(steps):
            state = step(state, params)
        alone.append(state)
    stream = replace(
        alone[0].stream,
        step=names.stack([s.stream.step for s in alone]),
        stream=names.stack([s.stream.stream for s in alone]),
    )
    x, t = names.stack([s.x for s in alone]), names.stack([s.t for s in alone])
    together = step(SamplerState(x, t, stream), params)
    alone = [step(state, params) for state in alone]
    for i, state in enumerate(alone):
        np.testing.assert_allclose(xp.numpy(together.x)[i], xp.numpy(state.x), rtol=1e-12)
        assert int(together.t[i]) == int(state.t)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 5e-6)])
def test_the_same_particles_on_every_library(xp, dtype, tolerance):
    rng = np.random.default_rng(0)
    host = {"w": rng.normal(size=(2, 2)), "b": rng.normal(size=2)}
    sampler = DenoisingSampler(tanh_score, 1.0, 10, shape=(6, 2))

    def last(params):
        return sampler.run(sampler.init(5, params), params, 10).x

    found = run(xp, last, {name: xp.array(a, dtype=dtype) for name, a in host.items()})
    expected = last({name: a.astype(dtype) for name, a in host.items()})
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=tolerance, atol=tolerance)


def test_times_end_above_the_smallest_and_are_one_a_particle():
    seen = []

    def score(y, t, w):
        seen.append(t)
        return w * y

    sampler = DenoisingSampler(score, 1.0, 100, t_min=0.1, shape=(5, 2))
    weight = np.asarray(-1.0)
    sampler.run(sampler.init(0, weight), weight, 100)
    assert all(t.shape == (5,) for t in seen)
    times = np.asarray([t[0] for t in seen])
    np.testing.assert_allclose(times, np.maximum(1.0 - np.arange(100) / 100, 0.1), rtol=1e-12)


def test_starts():
    weight, given = np.asarray(-1.0), np.full((5, 2), 3.0)
    options = {"horizon": 1.0, "n_steps": 4, "shape": (5, 2)}
    noise = RandomStream(0).normal((5, 2), like=weight)
    for start, expected in ((None, noise), (given, given), (lambda e: 2.0 * e + 1, 2 * noise + 1)):
        sampler = DenoisingSampler(gaussian_score, start=start, **options)
        state = sampler.init(0, weight)
        np.testing.assert_allclose(state.x, expected)
        assert int(state.stream.step) == 1
    assert sampler.run(state, weight, 0) is state


def test_half_precision_particles():
    torch = pytest.importorskip("torch")
    center = torch.asarray(1.0, dtype=torch.bfloat16)
    sampler = DenoisingSampler(gaussian_score, 1.0, 8, shape=(64, 1))
    states = kept(sampler, sampler.init(0, center), center, 8)
    objective = PathKL(lambda y, t: gaussian_score(y, t, 0.0 * center))
    value, gradient = sampler.gradient(objective, center, states)
    assert states.dtype == gradient.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(gradient) / 2, rel=0.02)


def test_bad_arguments():
    def refused(error, match, score=gaussian_score, horizon=1.0, n_steps=4, **options):
        with pytest.raises(error, match=match):
            DenoisingSampler(score, horizon, n_steps, **{"shape": (3, 1), **options})

    refused(TypeError, "`score` must be a function", score=1.0)
    refused(ValueError, "`horizon` must be above 0", horizon=0.0)
    refused(ValueError, "`n_steps` must be at least 1; got n_steps=0", n_steps=0)
    refused(TypeError, "`n_steps` must be an integer", n_steps=4.0)
    refused(ValueError, "`t_min` must be at least 0", t_min=-0.1)
    refused(ValueError, "`t_min` must be below `horizon`", t_min=1.0)
    refused(ValueError, "`kind` must be one of sde, ode; got 'pde'", kind="pde")
    refused(ValueError, "`shape` must be", shape=(0, 2))
    with pytest.raises(TypeError, match="`score_ref` must be a function"):
        PathKL(np.ones(3))


def test_objectives_that_have_no_meaning():
    center, states = np.asarray(1.0), np.zeros((N + 1, 3, 1))
    reference = PathKL(lambda y, t: y)
    with pytest.raises(TypeError, match=r"Reward and PathKL for a DenoisingSampler.*got Entropy"):
        gaussian().gradient(Reward(lambda y: y[..., 0]) + Entropy(), center, states)
    with pytest.raises(ValueError, match="no PathKL for kind='ode'"):
        gaussian(kind="ode").gradient(reference, center, states)
    with pytest.raises(ValueError, match=r"`states` must have shape \(65, n, \*event\)"):
        gaussian().gradient(reference, center, states[1:])
    with pytest.raises(ValueError, match="`fn` of a Reward must return one number a particle"):
        gaussian().gradient(Reward(lambda y: y), center, states)
    with pytest.raises(ValueError, match="`score_ref` must return an array of shape"):
        gaussian().gradient(PathKL(lambda y, t: y[0]), center, states)
    with pytest.raises(TypeError, match="PathKL has no value without the path"):
        reference.value(None, center, states[0])
    with pytest.raises(TypeError, match="PathKL has no gradient from particles alone"):
        reference.gradient(lambda x, w: x[..., 0], center, states[0])
    with pytest.raises(ValueError, match="`noise` must be None for kind='ode'"):
        sampler = gaussian(kind="ode")
        sampler.step(sampler.init(0, center), center, noise=np.zeros((3, 1)))
    with pytest.raises(ValueError, match="`score` must return an array of shape"):
        sampler = DenoisingSampler(lambda y, t, w: t, T, N, shape=(3, 1))
        sampler.step(sampler.init(0, center), center)
