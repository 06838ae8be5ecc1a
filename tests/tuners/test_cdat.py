"""CDAT against its definition written out, and the properties of the rule on problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel import namespace, trees
from fenchel.autodiff import grad, hessian
from fenchel.tuners import CDAT, Adam, GradientDescent, Momentum, NonMonotone, RMSProp
from tests.tuners import problems

BASES = {
    "descent": GradientDescent(),
    "heavy_ball": Momentum(0.9),
    "nesterov": Momentum(0.9, kind="nesterov"),
    "ema": Momentum(0.9, kind="ema"),
    "adam": Adam(),
    "rmsprop": RMSProp(),
}
START = np.array([0.3, -0.2, 0.1])
seeds = st.integers(0, 10_000)
few = settings(max_examples=10)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(("scaling", "ema"), [(2.0, 0.0), (1.0, 0.9)])
def test_trajectory_of_the_definition(name, scaling, ema):
    """Fifty steps against a reference with the Hessian written out."""
    data = problems.logistic_data(seed=3, m=20)
    path, rates = problems.reference_cdat(START, data, 50, name=name, scaling=scaling, ema=ema)
    tuner = CDAT(scaling, base=BASES[name], ema=ema)
    w, _, infos = problems.run(tuner, problems.logistic, START, data, 50)
    assert_allclose(problems.column(infos, "learning_rate"), rates, rtol=1e-7, atol=1e-12)
    assert_allclose(w, path[-1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["descent", "heavy_ball", "adam", "rmsprop"])
def test_same_trajectory_on_every_library(xp, name):
    data = problems.logistic_data(seed=3, m=20)
    path, _ = problems.reference_cdat(START, data, 50, name=name)
    arrays = tuple(map(xp.array, data))
    tuner, w = CDAT(base=BASES[name]), xp.array(START)
    state = tuner.init(w)

    def step(w, state, *data):
        return tuner.step(problems.logistic, w, state, *data)

    step = _compiled(xp, step)
    for _ in range(50):
        w, state, info = step(w, state, *arrays)
    assert_allclose(xp.numpy(w), path[-1], rtol=1e-8, atol=1e-8)
    assert xp.numpy(info.value).shape == ()


def _compiled(xp, f):
    if not xp.name.startswith("jax"):
        return f
    import jax

    return jax.jit(f)  # eager JAX takes the same route as eager NumPy, tested for one step below


def test_one_step_eagerly_on_every_library(xp):
    params, data = problems.network_data()
    expected, _, info = problems.run(CDAT(), problems.Network(), params, data, 1)
    arrays = problems.carried(xp, params)
    got, _, infos = problems.run(CDAT(), problems.Network(), arrays, problems.carried(xp, data), 1)
    for a, b in zip(trees.leaves(got), trees.leaves(expected), strict=True):
        assert type(a) is type(trees.leaves(arrays)[0])
        assert_allclose(xp.numpy(a), b, rtol=1e-12, atol=1e-13)
    for name in ("value", "grad_norm", "learning_rate", "numerator", "denominator"):
        got = xp.numpy(getattr(infos[0], name))
        assert got.dtype == np.float64
        assert_allclose(got, float(getattr(info[0], name)), rtol=1e-12)


@pytest.mark.parametrize(
    ("curvature", "rtol"),
    [("hessian", 1e-11), ("ggn", 1e-11), ("grad_difference", 1e-5), ("value_difference", 1e-4)],
)
def test_curvature_against_a_dense_matrix(xp, curvature, rtol):
    params, data = problems.network_data(seed=1)
    f = problems.Network()
    tuner = CDAT(0.0, guard=None, curvature=curvature)
    arrays = problems.carried(xp, (params, data))
    _, _, infos = problems.run(tuner, f, *arrays, 1)
    got = float(infos[0].denominator)
    assert got == pytest.approx(_dense(f, params, data, curvature), rel=rtol)


def _dense(f, params, data, curvature):
    """<g, M g> with the gradient g, and M assembled entry by entry."""
    leaves, structure = trees.flatten(params)
    slopes = trees.leaves(grad(f)(params, *data))
    if curvature == "ggn":
        moved = [x + 1e-20j * g for x, g in zip(leaves, slopes, strict=True)]
        outputs = f.predict(trees.unflatten(structure, moved), data[0])
        return np.sum((np.imag(outputs) / 1e-20) ** 2) / len(data[1])
    blocks = hessian(lambda parts: f(trees.unflatten(structure, parts), *data))(leaves)
    return abs(
        sum(
            g.ravel() @ np.reshape(block, (g.size, h.size)) @ h.ravel()
            for g, row in zip(slopes, blocks, strict=True)
            for h, block in zip(slopes, row, strict=True)
        )
    )


quadratics = st.lists(st.floats(0.1, 10.0), min_size=1, max_size=5)


def _quadratic(curvatures):
    a = np.asarray(curvatures)
    return lambda w: np.sum(a * w**2) / 2


@given(curvatures=quadratics)
def test_on_quadratics_the_greedy_rate_lies_between_the_inverse_curvatures(curvatures):
    w = np.linspace(1.0, 2.0, len(curvatures))
    _, _, infos = problems.run(CDAT(1.0, guard=None), _quadratic(curvatures), w, (), 3)
    rates = problems.column(infos, "learning_rate")[:1]
    assert np.all(rates >= 1 / max(curvatures) * (1 - 1e-12))
    assert np.all(rates <= 1 / min(curvatures) * (1 + 1e-12))


@given(curvatures=quadratics, scaling=st.floats(0.1, 1.95))
def test_on_quadratics_the_value_falls_below_two(curvatures, scaling):
    f, w = _quadratic(curvatures), np.linspace(1.0, 2.0, len(curvatures))
    new, _, (info,) = problems.run(CDAT(scaling, guard=None), f, w, (), 1)
    n, d = float(info.numerator), float(info.denominator)
    predicted = -(scaling - scaling**2 / 2) * n**2 / d
    assert f(new) - f(w) == pytest.approx(predicted, rel=1e-9)
    assert f(new) < f(w)


@given(curvature=st.floats(0.01, 100.0), place=st.floats(0.1, 10.0))
def test_on_a_parabola_one_solves_and_two_reflects(curvature, place):
    f = lambda w: curvature * np.sum(w**2) / 2
    w = np.asarray([place])
    assert_allclose(problems.run(CDAT(1.0, guard=None), f, w, (), 1)[0], 0.0, atol=1e-14 * place)
    assert_allclose(problems.run(CDAT(2.0, guard=None), f, w, (), 7)[0], -w, rtol=1e-13)


@few
@given(scaling=st.sampled_from([1.0, 2.0]), factor=st.floats(1e-3, 1e3), seed=seeds)
def test_scale_of_the_objective(scaling, factor, seed):
    params, data = problems.network_data(seed)
    f = problems.Network()
    scaled = lambda *a: factor * f(*a)
    a, _, (one,) = problems.run(CDAT(scaling), f, params, data, 1)
    b, _, (two,) = problems.run(CDAT(scaling), scaled, params, data, 1)
    assert float(two.learning_rate) == pytest.approx(float(one.learning_rate) / factor)
    for x, y in zip(trees.leaves(a), trees.leaves(b), strict=True):
        assert_allclose(x, y, rtol=1e-10, atol=1e-12)
    base = Adam(eps=0.0)
    a, _, (one,) = problems.run(CDAT(scaling, base=base), f, params, data, 1)
    b, _, (two,) = problems.run(CDAT(scaling, base=base), scaled, params, data, 1)
    assert float(two.learning_rate) == pytest.approx(float(one.learning_rate))


@settings(max_examples=20)
@given(factor=st.floats(1e-3, 1e3))
def test_scale_of_the_direction(factor):
    data = problems.logistic_data()
    one, _, (a,) = problems.run(CDAT(), problems.logistic, START, data, 1)
    stretched = CDAT(base=lambda g: -factor * g)
    two, _, (b,) = problems.run(stretched, problems.logistic, START, data, 1)
    assert_allclose(one, two, rtol=1e-10)
    assert float(b.learning_rate) == pytest.approx(float(a.learning_rate) / factor)


@few
@given(seed=seeds)
def test_rotation_of_the_parameters(seed):
    images, signs = problems.logistic_data(seed, m=20)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    _, _, a = problems.run(CDAT(), problems.logistic, START, (images, signs), 3)
    _, _, b = problems.run(CDAT(), problems.logistic, q.T @ START, (images @ q, signs), 3)
    names = problems.column(a, "learning_rate"), problems.column(b, "learning_rate")
    assert_allclose(*names, rtol=1e-9)


@few
@given(seed=seeds)
def test_never_below_the_edge(seed):
    """The curvature along the gradient is at most the sharpness: rates are at least 2 / S."""
    data = problems.logistic_data(seed, m=20)
    w, tuner = START, CDAT(guard=None)
    state = tuner.init(w)
    for _ in range(4):
        top = np.linalg.eigvalsh(problems.logistic_derivatives(w, *data)[2])[-1]
        w, state, info = tuner.step(problems.logistic, w, state, *data)
        assert float(info.learning_rate) >= 2 / top * (1 - 1e-12)


@few
@given(seed=seeds)
def test_ggn_is_the_hessian_of_a_linear_model(seed):
    class Linear(problems.Network):
        def predict(self, params, inputs):
            return inputs @ params["out"] + params["hidden"][1][:2]

    params, data = problems.network_data(seed)
    data = (data[0][:, :3], data[1])
    both = [
        problems.run(CDAT(1.0, guard=None, curvature=kind), Linear(), params, data, 2)[2]
        for kind in ("hessian", "ggn")
    ]
    assert_allclose(*(problems.column(i, "denominator") for i in both), rtol=1e-10)


def test_ggn_needs_the_parts():
    tuner = CDAT(curvature="ggn")
    with pytest.raises(TypeError, match="`objective` must have `loss"):
        tuner.step(problems.logistic, START, tuner.init(START), *problems.logistic_data())


@settings(max_examples=20)
@given(seed=seeds)
def test_single_precision_is_near_double(seed):
    params, data = problems.network_data(seed)
    narrow = trees.map(lambda x: x.astype("float32"), (params, data))
    _, _, (a,) = problems.run(CDAT(), problems.Network(), params, data, 1)
    new, _, (b,) = problems.run(CDAT(), problems.Network(), narrow[0], narrow[1], 1)
    assert float(b.learning_rate) == pytest.approx(float(a.learning_rate), rel=1e-4)
    assert all(x.dtype == np.float32 for x in trees.leaves((new, b[:5])))


@pytest.mark.parametrize("size", [1e-28, 1e-16, 1e16, 1e24])
def test_gradients_whose_squares_leave_single_precision(xp, size):
    """f = size * parabola / 2: a learning rate of 1 / size, though g * g is 0 or infinite."""
    tuner, w = CDAT(1.0, guard=None), xp.array(np.asarray([1.0, 2.0], "float32"), "float32")

    def objective(w):
        return namespace(w).sum(w * w) * (0.5 * size)

    def rate(w, state):
        return tuner.step(objective, w, state)[2].learning_rate

    got = xp.run_optimised(rate, w, tuner.init(w))
    assert float(xp.numpy(got)) == pytest.approx(1 / size, rel=1e-4)


@pytest.mark.parametrize("previous", [False, True])
def test_a_learning_rate_that_a_float_cannot_hold_is_no_ratio(xp, previous):
    """In single precision 1e42 is infinite: flat, as where there is no curvature at all."""
    tuner, w = CDAT(1.0), xp.array(np.ones(2, "float32"), "float32")

    def objective(w):
        total = namespace(w).sum
        return -total(w) + total(w * w) * 1e-20 * 1e-22

    def step(w, state):
        new, _, info = tuner.step(objective, w, state)
        return new, info.learning_rate, info.flags.flat

    state = tuner.init(w)
    if previous:
        averages = state.averages._replace(learning_rate=xp.array(np.float32(0.5), "float32"))
        state = state._replace(averages=averages)
    new, rate, flat = xp.run_optimised(step, w, state)
    assert bool(flat) and float(xp.numpy(rate)) == (0.5 if previous else 0.0)
    assert_allclose(xp.numpy(new), [1.5, 1.5] if previous else [1.0, 1.0])


def test_every_holds_the_learning_rate(xp):
    data = problems.carried(xp, problems.logistic_data(m=20))
    tuner, w = CDAT(1.0, every=3, guard=None), xp.array(START)
    state, rates = tuner.init(w), []
    step = _compiled(xp, lambda w, s: tuner.step(problems.logistic, w, s, *data))
    for _ in range(7):
        w, state, info = step(w, state)
        rates.append(float(info.learning_rate))
    assert rates[0] == rates[1] == rates[2] != rates[3] == rates[4] == rates[5] != rates[6]
    assert int(state.averages.count) == 3


def test_stored_gradients_give_the_same_steps(xp):
    data = problems.carried(xp, problems.logistic_data(m=20))
    ends = []
    for stored in (False, True):
        tuner = CDAT(store_grad=stored, curvature="grad_difference")
        step = _compiled(xp, lambda w, s, t=tuner: t.step(problems.logistic, w, s, *data))
        ends.append(problems.run(tuner, problems.logistic, xp.array(START), data, 12, step)[0])
    assert_allclose(*map(xp.numpy, ends), rtol=1e-9)


def test_stored_gradients_spare_evaluations():
    calls = []

    def objective(w, *data):
        calls.append(1)
        return problems.logistic(w, *data)

    counts = []
    for stored in (False, True):
        calls.clear()
        tuner = CDAT(1.0, store_grad=stored, curvature="grad_difference")
        problems.run(tuner, objective, START, problems.logistic_data(m=20), 10)
        counts.append(len(calls))
    assert counts == [30, 21]  # gradient, difference, trial; then difference and trial


def test_decay_is_left_out_of_the_measure_and_takes_part_in_the_step():
    data = problems.logistic_data(m=20)
    plain, _, (a,) = problems.run(CDAT(base=Adam()), problems.logistic, START, data, 1)
    decayed, _, (b,) = problems.run(
        CDAT(base=Adam(weight_decay=0.01)), problems.logistic, START, data, 1
    )
    assert tuple(map(float, a[:5])) == tuple(map(float, b[:5]))
    assert_allclose(decayed - plain, -0.01 * float(b.learning_rate) * START, rtol=1e-10)


def test_an_object_with_directions_is_a_base():
    class Newton:
        def direction(self, w, *data):
            _, g, h = problems.logistic_derivatives(w, *data)
            return -np.linalg.solve(h + 0.1 * np.eye(3), g), {"iterations": 1}

    data = problems.logistic_data(m=20)
    _, _, infos = problems.run(CDAT(1.0, base=Newton()), problems.logistic, START, data, 8)
    assert float(infos[-1].grad_norm) < 1e-5


def test_options_are_checked():
    for options in ({"every": 0}, {"curvature": "fisher"}, {"ema": 1.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
            CDAT(**options)
    with pytest.raises(TypeError, match="`base` must"):
        CDAT(base=3)
    with pytest.raises(ValueError, match="`memory` must"):
        NonMonotone(memory=0)
    assert hash(CDAT()) == hash(CDAT())
