"""What holds of every tuner: bad input, resuming, transformations, and purity."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fenchel import namespace, trees
from fenchel.autodiff import vmap
from fenchel.tuners import (
    CDAT,
    Adam,
    Armijo,
    Constant,
    Hypergradient,
    Polyak,
    QuadraticGreedy,
    StrongWolfe,
    warmup_cosine,
)
from tests.tuners import problems

TUNERS = {
    "cdat": CDAT(),
    "cdat, adam": CDAT(base=Adam(weight_decay=1e-3), ema=0.9),
    "cdat, every 2": CDAT(1.0, every=2, guard=None),
    "cdat, stored": CDAT(1.5, store_grad=True),
    "greedy": QuadraticGreedy(),
    "greedy, signed": QuadraticGreedy(clip=False),
    "polyak": Polyak(),
    "armijo": Armijo(),
    "wolfe": StrongWolfe(),
    "hypergradient": Hypergradient(0.1, base=Adam()),
    "constant": Constant(warmup_cosine(0.1, 2, 9)),
}
START = np.array([0.3, -0.2, 0.1])
every_tuner = pytest.mark.parametrize("tuner", TUNERS.values(), ids=TUNERS)


def through_npz(tree):
    leaves, structure = trees.flatten(tree)
    file = io.BytesIO()
    np.savez(file, *leaves)
    file.seek(0)
    with np.load(file) as stored:
        return trees.unflatten(structure, [stored[name] for name in stored.files])


@every_tuner
@settings(max_examples=4)
@given(
    seed=st.integers(0, 1000),
    steps=st.integers(0, 5),
    carried=st.sampled_from([lambda tree: pickle.loads(pickle.dumps(tree)), through_npz]),
)
def test_resuming_is_bit_for_bit(tuner, seed, steps, carried):
    params, data = problems.network_data(seed)
    f = problems.Network()
    w, state, _ = problems.run(tuner, f, params, data, steps)
    w2, state2 = carried((w, state))
    for _ in range(3):
        w, state, info = tuner.step(f, w, state, *data)
        w2, state2, info2 = tuner.step(f, w2, state2, *data)
    pairs = zip(trees.leaves((w, state, info)), trees.leaves((w2, state2, info2)), strict=True)
    for a, b in pairs:
        assert_array_equal(a, b)


@every_tuner
def test_steps_are_pure(tuner, xp):
    if xp.jitted or xp.name == "jax":
        pytest.skip("arrays of JAX cannot be written")
    params, data = problems.network_data()
    params, data = problems.carried(xp, (params, data))
    state = tuner.init(params)
    before = [xp.numpy(x).copy() for x in trees.leaves((params, state, data))]
    first = tuner.step(problems.Network(), params, state, *data)
    second = tuner.step(problems.Network(), params, state, *data)
    for a, b in zip(trees.leaves(first), trees.leaves(second), strict=True):
        assert_array_equal(xp.numpy(a), xp.numpy(b))
    for a, b in zip(before, trees.leaves((params, state, data)), strict=True):
        assert_array_equal(a, xp.numpy(b))


@every_tuner
def test_states_and_reports_are_of_the_library(tuner, xp):
    params, data = problems.network_data()
    params, data = problems.carried(xp, (params, data))
    new, state, info = tuner.step(problems.Network(), params, tuner.init(params), *data)
    kind = type(trees.leaves(params)[0])
    for leaf in trees.leaves((new, state, info)):
        assert isinstance(leaf, kind | np.generic) and leaf.shape is not None
    assert all(xp.numpy(x).shape == () for x in trees.leaves(info))
    assert xp.numpy(info.flags.ascent).dtype == bool


@every_tuner
def test_nan_objective_is_flagged_and_moves_nothing(tuner, xp):
    f = lambda w: namespace(w).sum(w) * float("nan")
    w = xp.array(START)
    new, state, info = tuner.step(f, w, tuner.init(w))
    assert bool(info.flags.non_finite) and bool(info.flags.skipped)
    assert float(info.learning_rate) == 0.0
    assert_array_equal(xp.numpy(new), START)
    # Nothing of it stays: the next steps go as if it had not been.
    data = problems.carried(xp, problems.logistic_data())
    for _ in range(2):
        new, state, info = tuner.step(problems.logistic, new, state, *data)
    assert not bool(info.flags.non_finite)
    assert np.all(np.isfinite(xp.numpy(new)))


@every_tuner
def test_empty_container(tuner):
    params, _, info = tuner.step(lambda p: 3.0, {}, tuner.init({}))
    assert params == {} and info.value == 3.0 and info.grad_norm == 0.0


@every_tuner
def test_empty_leaves_count_for_nothing(tuner, xp):
    params = problems.carried(xp, {"w": START, "none": np.zeros((0, 2))})
    data = problems.carried(xp, problems.logistic_data())
    f = lambda p, *data: problems.logistic(p["w"], *data)
    new, _, info = tuner.step(f, params, tuner.init(params), *data)
    alone = tuner.step(problems.logistic, params["w"], tuner.init(params["w"]), *data)[0]
    assert_array_equal(xp.numpy(new["w"]), xp.numpy(alone))
    assert not bool(info.flags.non_finite)


@every_tuner
def test_stationary_point(tuner):
    w = np.zeros(2)
    new, state, info = tuner.step(lambda w: np.sum(w**4), w, tuner.init(w))
    assert_array_equal(new, w)
    assert float(info.numerator) == 0.0 and not bool(info.flags.non_finite)
    assert not bool(info.flags.ascent) and not bool(info.flags.skipped)
    assert all(np.all(np.isfinite(x) | np.isinf(x)) for x in trees.leaves(state))


def test_no_curvature_is_flat():
    w = np.asarray([1.0, 2.0])
    for tuner, rate in ((CDAT(), 0.0), (CDAT(max_learning_rate=0.5), 0.5)):
        new, _, info = tuner.step(lambda w: np.sum(w), w, tuner.init(w))
        assert bool(info.flags.flat) and float(info.learning_rate) == rate
        assert_array_equal(new, w - rate)


def test_ascent_is_flagged_and_the_base_goes_on():
    tuner = CDAT(base=Adam(), max_learning_rate=0.1)
    w = np.asarray([1.0])
    state = tuner.init(w)
    for sign in (1.0, 1.0, -1.0):
        w, state, info = tuner.step(lambda w, s=sign: s * np.sum(w + 0.1 * w**2), w, state)
    assert bool(info.flags.ascent) and not bool(info.flags.skipped)
    assert float(info.learning_rate) == 0.0
    assert float(info.numerator) == 0.0 and int(state.base.count) == 3


def test_curvature_that_is_not_finite_halves_the_learning_rate():
    """A square root at 0: the gradient along the other axis is fine, the curvature is not."""
    tuner = CDAT(1.0, guard=None, curvature="value_difference")
    f = lambda w: np.sum(w**2)
    _, state, info = tuner.step(f, np.asarray([1.0]), tuner.init(np.asarray([1.0])))
    rate = float(info.learning_rate)
    steep = lambda w: np.sum(np.where(np.abs(w - 1.0) > 1e-9, np.inf, w**2))
    _, state, info = tuner.step(steep, np.asarray([1.0]), state)
    assert bool(info.flags.non_finite)
    assert float(state.averages.learning_rate) == rate / 2


@every_tuner
def test_mapped_over_seeds_is_the_loop(tuner, xp):
    starts = np.stack([START, -START, 2 * START])
    data = problems.carried(xp, problems.logistic_data(m=20))
    f = problems.logistic

    def final(w):
        state = tuner.init(w)
        for _ in range(3):
            w, state, info = tuner.step(f, w, state, *data)
        return w, info.learning_rate

    if xp.name == "jax":
        pytest.skip("compiled under the name jax-jit")
    got = xp.run(vmap(final), xp.array(starts))
    expected = [xp.run(final, xp.array(w)) for w in starts]
    for column, single in zip(got, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(
            xp.numpy(column), np.stack([xp.numpy(x) for x in single]), rtol=1e-8, atol=1e-11
        )


@every_tuner
def test_under_scan(tuner):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    data = tuple(map(jax.numpy.asarray, problems.logistic_data(m=20)))
    w = jax.numpy.asarray(START)

    def body(carry, _):
        new, state, info = tuner.step(problems.logistic, *carry, *data)
        return (new, state), info.value

    _, values = jax.jit(lambda w: jax.lax.scan(body, (w, tuner.init(w)), length=5))(w)
    expected = problems.run(tuner, problems.logistic, START, problems.logistic_data(m=20), 5)[2]
    np.testing.assert_allclose(values, problems.column(expected, "value"), rtol=1e-8)


def test_parameters_of_torch_grow_no_graph():
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.tensor(START))
    data = tuple(map(torch.tensor, problems.logistic_data()))
    tuner = CDAT()
    new, state, _ = tuner.step(problems.logistic, w, tuner.init(w), *data)
    assert all(not x.requires_grad for x in trees.leaves((new, state)))


def test_fused_attention_falls_back_on_differences():
    torch = pytest.importorskip("torch")
    from torch.nn.functional import scaled_dot_product_attention as attention

    generator = torch.Generator().manual_seed(0)
    w = torch.randn(4, 4, generator=generator, dtype=torch.float64)

    def fused(w):
        q = (w @ w.T).reshape(1, 1, 4, 4)
        return attention(q, q, q).pow(2).sum()

    def plain(w):
        q = w @ w.T
        return (torch.softmax(q @ q.T / 2.0, dim=-1) @ q).pow(2).sum()

    tuner = CDAT(1.0, guard=None)
    _, state, info = tuner.step(fused, w, tuner.init(w))
    _, exact_state, exact = tuner.step(plain, w, tuner.init(w))
    assert bool(state.differenced) and not bool(exact_state.differenced)
    assert float(info.denominator) == pytest.approx(float(exact.denominator), rel=1e-5)


def test_rules_without_forward_mode_fall_back_too():
    jax = pytest.importorskip("jax")

    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, g: (2.0 * x * g,))
    tuner, w = CDAT(1.0, guard=None), jax.numpy.asarray(3.0)
    _, state, info = jax.jit(lambda w: tuner.step(square, w, tuner.init(w)))(w)
    assert bool(state.differenced)
    assert float(info.learning_rate) == pytest.approx(0.5, rel=1e-3)


def test_errors_of_the_objective_are_not_swallowed():
    def wrong(w):
        if type(w).__name__ != "ndarray":
            raise ValueError("my own mistake")
        return np.sum(w)

    tuner = CDAT()
    with pytest.raises(ValueError, match="my own mistake"):
        tuner.step(wrong, START, tuner.init(START))


def test_integer_parameters_are_refused():
    tuner, w = CDAT(), np.asarray([1, 2])
    with pytest.raises(TypeError, match="floating"):
        tuner.step(lambda w: np.sum(w), w, Constant(0.1).init(w))
