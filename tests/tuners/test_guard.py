"""The guard: what diverges without it does not with it, and what it promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel import trees
from fenchel.tuners import CDAT, Adam, GradientDescent, Momentum, NonMonotone
from tests.tuners import problems


class SoftLabels:
    """Cross-entropy of a tanh network (or a linear map) against soft labels."""

    def __call__(self, params, inputs, targets):
        scores = inputs
        for k, (weight, bias) in enumerate(params):
            scores = scores @ weight + bias
            scores = np.tanh(scores) if k < len(params) - 1 else scores
        top = np.max(scores, axis=-1, keepdims=True)
        log_norm = np.log(np.sum(np.exp(scores - top), axis=-1, keepdims=True)) + top
        return -np.sum(targets * (scores - log_norm)) / len(targets)


def network(seed, widths=(2, 4, 2)):
    rng = np.random.default_rng(seed)
    params = [(rng.standard_normal((a, b)) / a**0.5, np.zeros(b)) for a, b in pairwise(widths)]
    inputs = rng.standard_normal((8, widths[0]))
    return SoftLabels(), params, (inputs, np.eye(widths[-1])[rng.integers(0, widths[-1], 8)])


def separable(seed):
    """Labels of a plane: no minimum, curvature that dies out."""
    images, _ = problems.logistic_data(seed)
    return problems.logistic, np.full(3, 0.1), (images, np.sign(images @ np.ones(3) + 0.1))


def mixed(seed):
    return problems.logistic, np.full(3, 0.1), problems.logistic_data(seed)


# Eight runs whose objective leaves the range of floats, or its own start far behind, unguarded.
CASES = {
    "logistic 0, descent": (mixed(0), GradientDescent()),
    "logistic 1, descent": (mixed(1), GradientDescent()),
    "logistic 2, descent": (mixed(2), GradientDescent()),
    "logistic 3, descent": (mixed(3), GradientDescent()),
    "logistic 1, Adam": (mixed(1), Adam()),
    "logistic 2, Adam": (mixed(2), Adam()),
    "network 0, descent": (network(0), GradientDescent()),
    "network 3, Adam": (network(3), Adam()),
}


@pytest.mark.parametrize("name", CASES)
def test_guard_cures_divergence(name):
    (f, params, data), base = CASES[name]
    unguarded = problems.run(CDAT(base=base, guard=None), f, params, data, 150)[2]
    start = float(f(params, *data))
    worst = np.max(np.nan_to_num(problems.column(unguarded, "value"), nan=np.inf))
    assert worst > 10 * start
    _, _, infos = problems.run(CDAT(base=base), f, params, data, 150)
    values = problems.column(infos, "value")
    assert np.all(np.isfinite(values)) and values.max() <= start
    assert values[-1] < start


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1000),
    memory=st.integers(1, 20),
    refusals=st.integers(0, 6),
    base=st.sampled_from([GradientDescent(), Momentum(), Adam()]),
)
def test_the_largest_of_the_last_values_never_grows(seed, memory, refusals, base):
    """Also where trials run out, and the step is skipped."""
    f, params, data = mixed(seed)
    tuner = CDAT(base=base, guard=NonMonotone(memory, max_backtracks=refusals))
    _, _, infos = problems.run(tuner, f, params, data, 40)
    values = problems.column(infos, "value")
    rolling = [values[max(0, t - memory + 1) : t + 1].max() for t in range(len(values))]
    assert np.all(np.diff(rolling) <= 0)
    for before, now, info in zip(values, values[1:], infos, strict=False):
        assert int(info.flags.backtracks) <= refusals
        assert now == before or not info.flags.skipped


def test_where_nothing_can_decrease_nothing_is_refused():
    """A value equal to the bound is accepted: the step of length 0 at a minimum."""
    tuner, w = CDAT(guard=NonMonotone(1)), np.zeros(2)
    _, _, info = tuner.step(lambda w: np.sum(w**2), w, tuner.init(w))
    assert not info.flags.skipped and int(info.flags.backtracks) == 0


def test_a_decay_never_turns_the_weights_around():
    """Far from the minimum along a slope almost straight: a rate of 100 would be accepted."""
    objective = lambda w: np.sum(np.sqrt(1.0 + (w - 100.0) ** 2))
    rates = []
    for decay in (0.0, 0.5):
        tuner, w = CDAT(base=Adam(weight_decay=decay)), np.ones(3)
        new, _, info = tuner.step(objective, w, tuner.init(w))
        rates.append(float(info.learning_rate))
    assert rates[0] > 50.0 and 0.0 < rates[1] <= 2.0
    assert np.all(new >= 0.0)


def test_a_step_without_a_value_halves_what_the_next_starts_from():
    data, tuner = problems.logistic_data(m=20), CDAT()
    w, state, (info,) = problems.run(tuner, problems.logistic, np.full(3, 0.1), data, 1)
    rate = float(info.learning_rate)
    _, state, info = tuner.step(lambda w: np.sum(w) * np.nan, w, state)
    assert bool(info.flags.skipped) and bool(info.flags.non_finite)
    assert float(state.averages.learning_rate) == rate / 2


def test_a_skipped_step_leaves_the_parameters_and_is_flagged():
    calls = []

    def lying(w):
        """Larger at every call: no trial is accepted."""
        calls.append(1)
        return np.sum(w**2) + 10.0 * len(calls)

    tuner, w = CDAT(guard=NonMonotone(max_backtracks=3)), np.asarray([1.0])
    new, state, info = tuner.step(lying, w, tuner.init(w))
    assert new is w or np.array_equal(new, w)
    assert bool(info.flags.skipped) and int(info.flags.backtracks) == 3
    assert float(info.learning_rate) == 0.0
    assert float(state.averages.learning_rate) == 0.0


@pytest.mark.parametrize("base", [GradientDescent(), Adam()], ids=["descent", "adam"])
def test_the_same_refusals_on_every_library(xp, base):
    f, w, data = mixed(1)
    _, _, expected = problems.run(CDAT(base=base), f, w, data, 25)
    arrays, tuner = problems.carried(xp, data), CDAT(base=base)

    def step(w, state):
        return tuner.step(f, w, state, *arrays)

    if xp.name.startswith("jax"):
        import jax

        step = jax.jit(step)
    _, _, got = problems.run(tuner, f, xp.array(w), arrays, 25, step)
    refusals = [[int(i.flags.backtracks) for i in infos] for infos in (got, expected)]
    assert refusals[0] == refusals[1] and sum(refusals[0]) > 0
    # Shrinking curvature amplifies rounding from step to step.
    values = problems.column(got, "value"), problems.column(expected, "value")
    assert_allclose(*values, rtol=1e-6)


def test_history_holds_the_last_values():
    tuner, w = CDAT(1.0, guard=NonMonotone(3)), np.asarray([2.0])
    state = tuner.init(w)
    assert_allclose(state.history, [-np.inf] * 3)
    w, state, info = tuner.step(lambda w: np.sum(np.cosh(w)), w, state)
    assert_allclose(state.history, [-np.inf, -np.inf, float(info.value)])
    assert len(trees.leaves(state)) == 8


def test_history_without_arrays_drops_the_oldest_value():
    tuner, values = CDAT(guard=NonMonotone(2)), iter([3.0, 1.0, 2.0])
    state = tuner.init({})
    for _ in range(3):
        _, state, _ = tuner.step(lambda p, v: v, {}, state, next(values))
    assert state.history == (1.0, 2.0)
