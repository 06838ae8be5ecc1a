"""Line searches: the inequalities they promise, recomputed; and the defects of peers."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.autodiff import value_and_grad
from fenchel.tuners import Adam, Armijo, GradientDescent, Momentum, StrongWolfe
from tests.tuners import problems

START = np.array([0.3, -0.2, 0.1])


def _wave(w):
    return np.sum(np.cos(3 * w) + w**2 / 5) - 2.0


def _valley(w):
    return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def _along(tuner, f, w, steps):
    """Yield old point, new point, direction and report of each step of gradient descent."""
    state = tuner.init(w)
    for _ in range(steps):
        new, state, info = tuner.step(f, w, state)
        yield w, new, -value_and_grad(f)(w)[1], info
        w = new


@settings(max_examples=25)
@given(
    w=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    c1=st.sampled_from([1e-4, 0.3]),
    increase=st.sampled_from([1.0, 1.5, np.inf]),
    f=st.sampled_from([_wave, _valley]),
)
def test_armijo_inequality(w, c1, increase, f):
    tuner = Armijo(c1=c1, increase_factor=increase, max_iter=80)
    for old, new, u, info in _along(tuner, f, np.asarray(w), 4):
        eta = float(info.learning_rate)
        if not info.flags.skipped:
            assert f(new) <= f(old) - c1 * eta * (u @ u) + 1e-12 * abs(f(old))
            assert eta <= 1.0


@settings(max_examples=60)
@given(
    w=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    c2=st.sampled_from([0.01, 0.1, 0.9]),
    initial=st.sampled_from(["previous", "one"]),
    f=st.sampled_from([_wave, _valley]),
)
def test_strong_wolfe_inequalities(w, c2, initial, f):
    tuner = StrongWolfe(c2=c2, initial=initial, max_iter=60)
    for old, new, u, info in _along(tuner, f, np.asarray(w), 3):
        slope = u @ u
        if slope < 1e-9:  # the decrease is rounding
            continue
        eta = float(info.learning_rate)
        assert not info.flags.skipped and int(info.flags.backtracks) < 30
        assert f(new) <= f(old) - 1e-4 * eta * slope + 1e-12 * abs(f(old))
        assert abs(value_and_grad(f)(new)[1] @ u) <= c2 * slope * (1 + 1e-9)


@settings(max_examples=30)
@given(
    w=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    trials=st.integers(1, 4),
    f=st.sampled_from([_wave, _valley]),
)
def test_wolfe_ends_with_enough_decrease_or_where_it_was(w, trials, f):
    tuner = StrongWolfe(c2=1e-3, max_iter=trials)
    for old, new, u, info in _along(tuner, f, np.asarray(w), 3):
        eta = float(info.learning_rate)
        assert int(info.flags.backtracks) < trials
        assert f(new) <= f(old) - 1e-4 * eta * (u @ u) + 1e-12 * abs(f(old))
        assert not info.flags.skipped or np.array_equal(old, new)


def test_wolfe_takes_few_trials_on_a_parabola():
    tuner, w = StrongWolfe(c2=0.1), np.asarray([1.0])
    _, _, info = tuner.step(lambda w: np.sum(50 * w**2), w, tuner.init(w))
    assert float(info.learning_rate) == pytest.approx(0.01)
    assert int(info.flags.backtracks) == 1


@pytest.mark.parametrize("tuner", [Armijo(), StrongWolfe(c2=0.3)], ids=["armijo", "wolfe"])
@pytest.mark.parametrize(
    "base", [GradientDescent(), Momentum(), Adam()], ids=lambda b: type(b).__name__
)
def test_same_steps_on_every_library(xp, tuner, base):
    from dataclasses import replace

    tuner = replace(tuner, base=base)
    data = problems.logistic_data(m=20)
    expected, _, reference = problems.run(tuner, problems.logistic, START, data, 12)
    arrays, w = problems.carried(xp, data), xp.array(START)

    def step(w, state):
        return tuner.step(problems.logistic, w, state, *arrays)

    if xp.jitted:
        import jax

        step = jax.jit(step)
    elif xp.name == "jax":
        pytest.skip("eager JAX takes the route of eager NumPy, tested for CDAT")
    got, _, infos = problems.run(tuner, problems.logistic, w, arrays, 12, step)
    assert_allclose(xp.numpy(got), expected, rtol=1e-8, atol=1e-10)
    for name in ("learning_rate", "value"):
        pair = (problems.column(i, name) for i in (infos, reference))
        assert_allclose(*pair, rtol=1e-8)


def test_armijo_restarts_after_a_search_that_failed():
    """In optax 0.2.8 the learning rate 0 of a failed search keeps every later step at 0."""
    tuner, w = Armijo(increase_factor=1.5, max_iter=3), np.asarray([1.0])
    state = tuner.init(w)
    broken = lambda w: np.sum(w**2) if w[0] == 1.0 else np.sum(w) * np.nan
    kept, state, info = tuner.step(broken, w, state)
    assert bool(info.flags.skipped) and np.array_equal(kept, w)
    _, state, info = tuner.step(lambda w: np.sum(w**2) / 4, kept, state)
    assert float(info.learning_rate) == 1.0


def test_armijo_tolerance_loosens_also_below_zero():
    """f <= (1 + rtol) f_0 would tighten where f_0 < 0."""
    f = lambda w: np.sum(20 * w**2) - 100.0
    w = np.asarray([0.1])
    rates = []
    for rtol in (0.0, 0.05):
        tuner = Armijo(rtol=rtol)
        rates.append(float(tuner.step(f, w, tuner.init(w))[2].learning_rate))
    assert rates[0] < rates[1]


def test_armijo_lets_an_increase_by_its_tolerance_pass():
    """At rate 1 the step goes from 0.1 to -3.9, and the value from 0.2 to 304.2."""
    f, w, slope = lambda w: np.sum(20 * w**2), np.asarray([0.1]), 16.0
    for atol, passes in ((304.0 + 2e-4 * slope, True), (303.9, False)):
        tuner = Armijo(atol=atol)
        _, _, info = tuner.step(f, w, tuner.init(w))
        assert (float(info.learning_rate) == 1.0) is passes


@pytest.mark.parametrize("tuner", [Armijo(base=lambda g: g), StrongWolfe(base=lambda g: g)])
def test_uphill_is_skipped(xp, tuner):
    w = xp.array(START)
    state = tuner.init(w)
    data = problems.carried(xp, problems.logistic_data())
    new, after, info = tuner.step(problems.logistic, w, state, *data)
    assert bool(info.flags.ascent) and bool(info.flags.skipped)
    assert float(info.learning_rate) == 0.0
    assert_allclose(xp.numpy(new), START)
    assert float(after.learning_rate) == float(state.learning_rate)


def test_at_a_minimum_nothing_is_skipped():
    for tuner in (Armijo(), StrongWolfe()):
        w = np.zeros(2)
        new, _, info = tuner.step(lambda w: np.sum(w**2), w, tuner.init(w))
        assert not bool(info.flags.skipped) and np.array_equal(new, w)


@pytest.mark.skipif(find_spec("optax") is None, reason="optax is not installed")
def test_armijo_against_optax():
    import jax
    import jax.numpy as jnp
    import optax

    data = tuple(map(jnp.asarray, problems.logistic_data(m=20)))
    f = lambda w: problems.logistic(w, *data)
    search = optax.scale_by_backtracking_linesearch(30)
    chain = optax.chain(optax.sgd(1.0), search)

    @jax.jit
    def theirs(w, state):
        value, grad = jax.value_and_grad(f)(w)
        updates, state = chain.update(grad, state, w, value=value, grad=grad, value_fn=f)
        return optax.apply_updates(w, updates), state

    tuner = Armijo()
    ours = jax.jit(lambda w, s: tuner.step(problems.logistic, w, s, *data))
    a = b = jnp.asarray(START)
    s, t = chain.init(a), tuner.init(b)
    for _ in range(12):
        a, s = theirs(a, s)
        b, t, _ = ours(b, t)
    assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Armijo(c1=0.0), "c1"),
        (lambda: Armijo(decrease_factor=1.0), "decrease_factor"),
        (lambda: Armijo(increase_factor=0.5), "increase_factor"),
        (lambda: Armijo(max_learning_rate=0.0), "max_learning_rate"),
        (lambda: StrongWolfe(c1=0.5, c2=0.3), "c2"),
        (lambda: StrongWolfe(initial="two"), "initial"),
        (lambda: StrongWolfe(max_iter=0), "max_iter"),
    ],
)
def test_options_out_of_range(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        make()
