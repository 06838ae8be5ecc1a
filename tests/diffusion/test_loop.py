"""The single loop: nested optimisation, queues, orders, weights, optimisers, and resuming."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import fenchel
from fenchel import tuners
from fenchel.diffusion import (
    Descent,
    Energy,
    ImplicitDiffusion,
    KLToReference,
    LangevinSampler,
    Reward,
    compare_gradients,
)
from fenchel.random import RandomStream
from tests.diffusion.laws import draws, well


def toward_two(x):
    xp = fenchel.namespace(x)
    return -xp.sum((x - 2.0) ** 2, axis=-1) / 2


def loop_of(*, n_steps=None, shape=(20, 1), rate=0.05, **options):
    sampler = LangevinSampler(well, step_size=0.1, shape=shape, n_steps=n_steps)
    return ImplicitDiffusion(sampler, -Reward(toward_two), rate, **options)


def run(loop, params, steps, rng=0):
    return loop.run(loop.init(rng, params), steps, progress=False)


def test_a_queue_of_one_is_the_nested_loop(xp):
    """Bit for bit, with the stream of each batch; XLA may fuse differently."""
    loop, params = loop_of(n_steps=5), xp.array([0.3])
    state, course = run(loop, params, 6, RandomStream(11, stream=2))
    values = []
    for batch in range(6):
        stream = RandomStream(11, stream=2 + batch)
        final = loop.sampler.run(loop.sampler.init(stream, params), params, 5)
        values.append(loop.objective.value(well, params, final.x))
        slope = loop.objective.gradient(well, params, final.x)
        params = params - 0.05 * slope
    found, expected = xp.numpy(state.params), xp.numpy(params)
    if xp.name.startswith("jax"):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        np.testing.assert_allclose(xp.numpy(course.value), [float(v) for v in values], rtol=1e-13)
    else:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(xp.numpy(course.value), [float(v) for v in values])


def test_still_parameters_sample_as_the_nested_loop_does(xp):
    queue, params = 4, xp.array([0.3])
    nested, queued = (
        run(loop_of(n_steps=4, rate=0.0, queue=m), params, steps)
        for m, steps in ((1, 3), (queue, 2 + queue))
    )
    np.testing.assert_allclose(
        xp.numpy(queued[0].sampler.x), xp.numpy(nested[0].sampler.x), rtol=1e-12
    )
    expected = [False] * (queue - 1) + [True] * 3
    np.testing.assert_array_equal(xp.numpy(queued[1].updated), expected)
    np.testing.assert_allclose(
        xp.numpy(queued[1].value)[queue - 1 :], xp.numpy(nested[1].value), rtol=1e-12
    )
    assert xp.numpy(queued[1].staleness)[-1] == queue - 1
    # what comes out has the position of its own batch: later draws are those of the nested loop
    for place in ("step", "stream"):
        found, kept = (int(getattr(s[0].sampler.stream, place)) for s in (queued, nested))
        assert found == kept


def test_parameters_rest_while_the_queue_fills():
    loop = loop_of(n_steps=4, queue=4, rate=Descent(0.1, tuners.Adam()))
    state, _ = run(loop, np.asarray([0.3]), 3)
    np.testing.assert_array_equal(state.params, [0.3])
    assert int(state.optimizer[1].count) == 0
    state, _ = loop.run(state, 1, progress=False)
    assert float(state.params[0]) != 0.3


@dataclass(frozen=True)
class Moments(LangevinSampler):
    """Two particles a fixed way apart, whose mean moves as that of Langevin dynamics."""

    def advance(self, backend, state, params, noise):
        mean = backend.namespace.mean(state.x, axis=0, keepdims=True)
        return state.x - self.step_size * (mean - params), state.stream.next()


def mean_field(order, rate, steps, gamma=0.2, start=0.0):
    """Return the iterates of the mean-field recursion: variance v, gradient v (mean - 2)."""
    v = 1.0 / (1.0 - gamma / 2.0)
    sampler = Moments(well, step_size=gamma, shape=(2, 1))
    loop = ImplicitDiffusion(sampler, -Reward(toward_two), rate, order=order, ddof=0)
    points = start + np.sqrt(v) * np.asarray([[-1.0], [1.0]])
    state = loop.init(0, np.asarray([start]), start=points)
    return loop, state, loop.run(state, steps, progress=False)[0]


@pytest.mark.parametrize("order", ["gauss_seidel", "jacobi"])
def test_the_mean_field_recursion_reaches_the_optimum(order):
    _, _, final = mean_field(order, 0.1, 700)
    assert abs(float(final.params[0]) - 2.0) < 1e-10


def test_the_orders_have_the_thresholds_of_the_recursion():
    """Stable for rate * v < 1 (jacobi) and rate * v < 2 (2 - g) / g (gauss_seidel)."""
    gamma = 0.2
    v = 1.0 / (1.0 - gamma / 2.0)
    limits = {"jacobi": 1.0 / v, "gauss_seidel": 2.0 * (2.0 - gamma) / (gamma * v)}
    for order, limit in limits.items():
        for factor, stable in ((0.95, True), (1.05, False)):
            _, _, final = mean_field(order, factor * limit, 600)
            apart = abs(float(final.params[0]) - 2.0)
            assert (apart < 0.2) if stable else (apart > 10.0), (order, factor, apart)


def test_particles_reach_the_optimum():
    loop = loop_of(shape=(2000, 1), average_from=150)
    state, course = run(loop, np.zeros(1), 400)
    assert abs(float(state.average[0]) - 2.0) < 0.05
    assert course.value[-1] < course.value[0]
    assert np.all(course.finite) and np.all(course.effective_sample_size == 1.0)


def test_the_same_course_on_every_library(xp):
    loop = ImplicitDiffusion(
        LangevinSampler(well, step_size=0.1, shape=(10, 1)),
        -Reward(toward_two) + 0.3 * KLToReference(well, params=xp.array([0.0])),
        lambda step: 0.1 / (1.0 + step) ** 0.5,
        average_from=2,
    )
    state, course = run(loop, xp.array([0.1]), 6)
    again = ImplicitDiffusion(
        loop.sampler,
        -Reward(toward_two) + 0.3 * KLToReference(well, params=np.zeros(1)),
        loop.optimizer,
        average_from=2,
    )
    expected, by_numpy = run(again, np.asarray([0.1]), 6)
    np.testing.assert_allclose(xp.numpy(state.sampler.x), expected.sampler.x, rtol=1e-12)
    np.testing.assert_allclose(xp.numpy(state.average), expected.average, rtol=1e-12)
    np.testing.assert_allclose(xp.numpy(course.value), by_numpy.value, rtol=1e-12)
    np.testing.assert_allclose(xp.numpy(course.gradient_norm), by_numpy.gradient_norm, rtol=1e-12)


def test_the_average_is_that_of_the_iterates():
    loop = loop_of(average_from=2)
    state, iterates = loop.init(0, np.zeros(1)), []
    for _ in range(6):
        state, _ = loop.step(state)
        iterates.append(state.params)
    np.testing.assert_allclose(state.average, np.mean(iterates[2:], axis=0), rtol=1e-13)


def test_resuming_gives_the_same_numbers(xp):
    if xp.name not in ("numpy", "torch", "jax"):
        pytest.skip("arrays that are not picklable")
    loop = loop_of(
        n_steps=4, queue=2, rate=Descent(0.05, tuners.Adam()), average_from=1, reweight=True
    )
    half, _ = run(loop, xp.array([0.1]), 3)
    whole, _ = loop.run(half, 3, progress=False)
    again, _ = loop.run(pickle.loads(pickle.dumps(half)), 3, progress=False)
    for a, b in zip(fenchel.trees.leaves(whole), fenchel.trees.leaves(again), strict=True):
        np.testing.assert_array_equal(xp.numpy(a), xp.numpy(b))


def test_no_steps(xp):
    loop = loop_of()
    state = loop.init(0, xp.array([0.1]))
    same, course = loop.run(state, 0, progress=False)
    assert same is state
    assert course.value.shape == (0,)


class Drift:
    """Parameters that move at a constant speed, whatever the gradient."""

    def init(self, params):
        return ()

    def update(self, gradient, state, params):
        return np.full_like(params, 0.03), state


def test_weights_follow_the_parameters():
    """Particles lag by the speed over the step size; their weighted mean does not."""
    lags = {}
    for reweight in (False, True):
        loop = ImplicitDiffusion(
            LangevinSampler(well, step_size=0.1, shape=(4000, 1), adjust=True),
            Reward(lambda x: x[:, 0]),
            Drift(),
            reweight=reweight,
        )
        state, course = run(loop, np.zeros(1), 60)
        mean = 0.03 * np.arange(60)
        lags[reweight] = np.mean((mean - course.value)[30:])
        assert np.all(course.effective_sample_size > 0.4)
    assert abs(lags[False] - 0.27) < 0.05
    assert abs(lags[True]) < 0.05
    assert np.isfinite(state.log_weights).all()


def test_weights_in_a_queue():
    """Those of a batch are the sum of what the changes of the parameters gave while it waited."""
    loop = loop_of(n_steps=4, queue=2, reweight=True)
    state, params = loop.init(0, np.asarray([0.1])), []
    for _ in range(3):
        before = state
        state, _ = loop.step(state)
        params.append((before.params, state.params))
    x = state.queue.pending.x[0, :, 0]
    old, new = (float(p[0]) for p in params[-1])
    expected = ((x - old) ** 2 - (x - new) ** 2) / 2
    np.testing.assert_allclose(state.log_weights[1], expected, atol=1e-12)
    np.testing.assert_array_equal(state.log_weights[0], 0.0)


def test_optimizers_of_other_libraries():
    """Adam by the tuners, by optax and by torch.optim: one course."""
    optax, torch = pytest.importorskip("optax"), pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    from fenchel.integrations.torch import functional

    ours, _ = run(loop_of(rate=Descent(0.05, tuners.Adam())), np.asarray([0.1]), 8)
    theirs, _ = run(loop_of(rate=optax.adam(0.05)), jax.numpy.asarray([0.1]), 8)
    np.testing.assert_allclose(theirs.params, ours.params, rtol=1e-9)
    for queue in (1, 2):
        options = {"n_steps": 4, "queue": queue}
        rule = functional(torch.optim.Adam, lr=0.05)
        torched, _ = run(loop_of(rate=rule, **options), torch.asarray([0.1]).double(), 8)
        plain, _ = run(
            loop_of(rate=Descent(0.05, tuners.Adam()), **options),
            np.asarray([0.1], dtype="float32").astype(float),
            8,
        )
        np.testing.assert_allclose(torched.params.numpy(), plain.params, rtol=1e-7)


def test_a_step_is_one_graph_for_torch():
    torch = pytest.importorskip("torch")
    loop = loop_of()
    state = loop.init(0, torch.asarray([0.1]))
    compiled = torch.compile(loop._step, backend="eager", fullgraph=True)
    found, expected = compiled(state)[0], loop.step(state)[0]
    np.testing.assert_array_equal(found.params.numpy(), expected.params.numpy())


def test_whole_runs_under_jit_and_vmap():
    """With a key for a seed, each as it is alone."""
    jax = pytest.importorskip("jax")
    loop, start = loop_of(), jax.numpy.asarray([0.1])

    def final(key):
        return loop.run(loop.init(key, start), 3, progress=False)[0].params

    keys = jax.random.split(jax.random.key(0), 2)
    together = jax.jit(jax.vmap(final))(keys)
    np.testing.assert_allclose(together[1], jax.jit(final)(keys[1]), rtol=1e-12)
    assert float(together[0, 0]) != float(together[1, 0])


def test_many_parameters_and_half_particles(xp):
    """A container of parameters, with particles in single precision."""
    energy = Energy(lambda x, p: fenchel.namespace(x, p["c"]).sum((x - p["c"]) ** 2, axis=-1) / 2)
    loop = ImplicitDiffusion(
        LangevinSampler(energy, step_size=0.1, shape=(8, 2)), -Reward(toward_two), 0.05
    )
    state, _ = run(loop, {"c": xp.array([0.0, 1.0], dtype="float32")}, 3)
    assert state.params["c"].dtype == xp.namespace.float32
    assert xp.numpy(state.sampler.x).dtype == "float32"


def test_divergence_is_reported_with_its_step():
    sampler = LangevinSampler(well, step_size=1e50, shape=(4, 1))
    loop = ImplicitDiffusion(sampler, -Reward(toward_two), 0.05)
    state = loop.init(0, np.zeros(1))
    with np.errstate(all="ignore"):
        with pytest.raises(FloatingPointError, match=r"must stay finite; .* from step \d+ on") as e:
            loop.run(state, 12, progress=False)
        first = int(str(e.value).split("from step ")[1].split()[0])
        state, course = loop.run(state, first, progress=False)
        assert course.finite.all()
        assert not bool(loop.step(state)[1].finite)


def test_rewards_that_are_not_finite_are_reported():
    loop = ImplicitDiffusion(
        LangevinSampler(well, step_size=0.1, shape=(4, 1)),
        -Reward(lambda x: np.full(4, np.nan)),
        0.05,
    )
    with pytest.raises(FloatingPointError, match="from step 0 on"):
        run(loop, np.zeros(1), 3)


def test_errors(xp):
    with pytest.raises(
        ValueError, match="`queue` must divide n_steps=4 of the sampler; got queue=3"
    ):
        loop_of(n_steps=4, queue=3)
    with pytest.raises(ValueError, match="`queue` must divide n_steps=1"):
        loop_of(n_steps=1, queue=2)
    with pytest.raises(ValueError, match="`queue` must be at least 1"):
        loop_of(queue=0)
    with pytest.raises(ValueError, match="`queue` must be 1 for a sampler without `n_steps`"):
        loop_of(queue=2)
    with pytest.raises(ValueError, match="`order` must be one of gauss_seidel, jacobi"):
        loop_of(order="sor")
    with pytest.raises(ValueError, match="`order` must be 'gauss_seidel' for a sampler"):
        loop_of(n_steps=4, order="jacobi")
    with pytest.raises(TypeError, match="`optimizer` must be a learning rate"):
        loop_of(rate="adam")
    with pytest.raises(TypeError, match="`objective` must be an Objective"):
        ImplicitDiffusion(loop_of().sampler, toward_two, 0.1)
    with pytest.raises(TypeError, match="`params` must have a real floating dtype"):
        loop_of().init(0, xp.array([1], dtype="int32"))
    with pytest.raises(ValueError, match="`steps` must be at least 0"):
        run(loop_of(), xp.array([0.0]), -1)
    with pytest.raises(ValueError, match="more than `ddof`=1; got n=1"):
        run(loop_of(shape=(1, 1)), xp.array([0.0]), 1)
    with pytest.raises(ValueError, match="`start` must be None"):
        loop_of(n_steps=4).init(0, xp.array([0.0]), start=xp.array([[0.0]]))


def test_problems_side_by_side():
    """Each has its own parameters, and moves as it would alone."""
    side = Energy(lambda x, c: np.sum((x - c[:, None, :]) ** 2, axis=-1) / 2)
    start, centers = draws(0, 3, 8, 1), draws(1, 3, 1)
    noise_free = LangevinSampler(side, step_size=0.1, shape=(3, 8, 1), temperature=1e-12)
    loop = ImplicitDiffusion(noise_free, -1e-12 * Reward(toward_two), 0.05)
    state, course = loop.run(loop.init(0, centers, start=start), 3, progress=False)
    assert course.value.shape == (3,)
    for i in range(3):
        walk = LangevinSampler(well, step_size=0.1, shape=(8, 1), temperature=1e-12)
        alone = ImplicitDiffusion(walk, -1e-12 * Reward(toward_two), 0.05)
        found, _ = alone.run(alone.init(0, centers[i], start=start[i]), 3, progress=False)
        np.testing.assert_allclose(state.params[i], found.params, atol=1e-5)
    with pytest.raises(ValueError, match="`reweight` takes the particles of one problem"):
        ImplicitDiffusion(noise_free, -Reward(toward_two), 0.05, reweight=True).init(0, centers)


def test_one_finite_step():
    """T = 1: each batch makes one step from its start."""
    x = run(loop_of(n_steps=1), np.zeros(1), 2)[0].sampler.x
    assert x.shape == (20, 1) and np.isfinite(x).all()


def test_gradients_side_by_side():
    sampler = LangevinSampler(well, step_size=0.5, shape=(200, 1))
    found = compare_gradients(
        sampler, Reward(lambda x: x[..., 0]), np.zeros(1), steps=20, repeats=12, truncate=2,
        reference=np.ones(1),
    )  # fmt: skip
    assert set(found) == {"unrolled", "truncated", "reinforce", "implicit", "adjoint"}
    exact, stale = found["unrolled"], found["truncated"]
    np.testing.assert_allclose(found["adjoint"].mean, exact.mean, rtol=1e-10)
    assert exact.bias < 1e-5 and exact.variance < 1e-20
    assert stale.bias == pytest.approx(0.25)
    # The implicit gradient is that of the stationary law, with the bias of unadjusted steps.
    assert abs(found["implicit"].mean[0] - 4 / 3) < 5 * found["implicit"].standard_error
    assert abs(found["reinforce"].mean[0] - 1) < 5 * found["reinforce"].standard_error
    assert found["implicit"].memory < found["unrolled"].memory / 15
    with pytest.raises(ValueError, match="`methods` must be one of"):
        compare_gradients(sampler, Reward(toward_two), np.zeros(1), steps=2, methods=("best",))
    with pytest.raises(ValueError, match="`steps` must be given"):
        compare_gradients(sampler, Reward(toward_two), np.zeros(1))


def test_the_score_function_has_the_mean_for_a_baseline():
    sampler = LangevinSampler(well, step_size=0.5, shape=(20, 1))
    found = [
        compare_gradients(
            sampler, Reward(lambda x, c=c: x[..., 0] + c), np.zeros(1), steps=3, repeats=2,
            methods=("reinforce",),
        )["reinforce"].mean
        for c in (0.0, 1000.0)
    ]  # fmt: skip
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)


def test_draws_of_the_loop_are_new():
    """No two steps share their noise."""
    loop = loop_of(rate=0.0)
    state = loop.init(0, np.zeros(1), start=draws(0, 20, 1))
    seen = []
    for _ in range(3):
        before = state.sampler.x
        state, _ = loop.step(state)
        seen.append(state.sampler.x - 0.9 * before)
    assert len(np.unique(np.round(np.concatenate(seen), 12))) == 60
