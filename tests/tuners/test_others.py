"""Greedy, Polyak, hypergradient and constant learning rates, schedules and bases."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.tuners import (
    Adam,
    Constant,
    GradientDescent,
    Hypergradient,
    Momentum,
    Polyak,
    QuadraticGreedy,
    RMSProp,
    inverse_sqrt,
    warmup_constant,
    warmup_cosine,
    warmup_stable_decay,
)
from tests import libraries
from tests.tuners import problems

START = np.array([0.3, -0.2, 0.1])
CURVED = np.asarray([1.0, 4.0, 9.0])


def parabola(w):
    from fenchel import namespace

    xp = namespace(w)
    return xp.sum(xp.multiply(w, w)) * 0.5


@pytest.mark.parametrize("scaling", [0.5, 1.0, 2.0])
def test_polyak_multiplies_by_its_scaling(xp, scaling):
    """optax 0.2.8 divides by it: its step at scaling 0.5 is twice Polyak's."""
    tuner, w = Polyak(scaling), xp.array(START)
    new, _, info = xp.run(lambda w: tuner.step(parabola, w, tuner.init(w)), w)
    assert float(info.learning_rate) == pytest.approx(scaling * 0.5)
    assert_allclose(xp.numpy(new), START * (1 - scaling / 2), rtol=1e-12)


@given(f_min=st.floats(-5, 5), largest=st.floats(0.1, 10), eps=st.sampled_from([0.0, 1.0]))
def test_polyak_formula(f_min, largest, eps):
    f = lambda w: np.sum(CURVED * w**2) / 2
    g = CURVED * START
    for clip in (True, False):
        tuner = Polyak(0.7, f_min=f_min, max_learning_rate=largest, eps=eps, clip=clip)
        _, _, info = tuner.step(f, START, tuner.init(START))
        gap = f(START) - f_min
        expected = 0.7 * min((max(gap, 0) if clip else gap) / (g @ g + eps), largest)
        assert float(info.learning_rate) == pytest.approx(expected, rel=1e-12)


def test_polyak_divides_by_the_slope_of_a_preconditioned_direction():
    f = lambda w: np.sum(CURVED * w**2) / 2
    tuner = Polyak(base=lambda g: -g / CURVED)
    _, _, info = tuner.step(f, START, tuner.init(START))
    assert float(info.learning_rate) == pytest.approx(0.5)


def test_polyak_at_a_minimum():
    tuner, w = Polyak(f_min=-1.0), np.zeros(2)
    new, _, info = tuner.step(parabola, w, tuner.init(w))
    assert float(info.learning_rate) == 0.0 and np.array_equal(new, w)


@pytest.mark.skipif(find_spec("optax") is None, reason="optax is not installed")
def test_polyak_against_optax_where_scalings_agree():
    libraries.get("jax")  # in double precision
    import jax.numpy as jnp
    import optax

    w = jnp.asarray(START)
    f = lambda w: jnp.sum(jnp.asarray(CURVED) * w**2) / 2
    theirs = optax.polyak_sgd(max_learning_rate=1.0, scaling=1.0)
    import jax

    value, grad = jax.value_and_grad(f)(w)
    updates, _ = theirs.update(grad, theirs.init(w), w, value=value)
    tuner = Polyak()
    assert_allclose(tuner.step(f, w, tuner.init(w))[0] - w, updates, rtol=1e-12)


def test_greedy_minimises_along_the_line():
    data = problems.logistic_data(m=20)
    tuner = QuadraticGreedy()
    _, _, (info,) = problems.run(tuner, problems.logistic, START, data, 1)
    _, g, h = problems.logistic_derivatives(START, *data)
    assert float(info.learning_rate) == pytest.approx(g @ g / (g @ h @ g), rel=1e-11)


def test_signed_greedy_keeps_its_sign(xp):
    """On cos at 0.3 the curvature is negative: the model has a maximum, behind."""
    from fenchel import namespace

    f = lambda w: namespace(w).sum(namespace(w).cos(w))
    tuner, w = QuadraticGreedy(clip=False), xp.array(np.asarray([0.3]))
    _, _, info = tuner.step(f, w, tuner.init(w))
    assert float(info.learning_rate) == pytest.approx(-1 / np.cos(0.3))
    clipped = QuadraticGreedy()
    _, _, info = clipped.step(f, w, clipped.init(w))
    assert float(info.learning_rate) == pytest.approx(1 / np.cos(0.3))


def test_signed_greedy_without_curvature():
    tuner, w = QuadraticGreedy(clip=False), np.asarray([0.3])
    new, _, info = tuner.step(lambda w: np.sum(w) * 2.0, w, tuner.init(w))
    assert bool(info.flags.flat) and np.array_equal(new, w)


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_hypergradient_recurrence(xp, kind):
    tuner = Hypergradient(0.05, kind=kind, rate=0.01)
    f = lambda w: parabola(w) * 3.0
    w, state = xp.array(START), None
    state = tuner.init(w)
    eta, previous, x = 0.05, np.zeros(3), START
    for t in range(6):
        w, state, info = tuner.step(f, w, state)
        g = 3 * x
        if kind == "additive":
            eta = eta - 0.01 * g @ previous
        elif t:
            eta = eta * (1 - 0.01 * g @ previous / np.linalg.norm(g) / np.linalg.norm(previous))
        previous, x = -g, x - eta * g
        assert float(info.learning_rate) == pytest.approx(eta, rel=1e-12)
    assert_allclose(xp.numpy(w), x, rtol=1e-11)


def test_hypergradient_stays_above_its_minimum():
    """Too large a step turns the gradient around, and the plain rule negative."""
    tuner, w = Hypergradient(2.5, rate=10.0, min_learning_rate=0.01), np.asarray([1.0])
    state = tuner.init(w)
    for _ in range(2):
        w, state, info = tuner.step(parabola, w, state)
    assert float(info.learning_rate) == 0.01 and bool(info.flags.capped)


def test_schedules_as_learning_rates(xp):
    tuner, w = Constant(warmup_cosine(0.8, 3, 9)), xp.array(START)

    def step(w, state):
        return tuner.step(parabola, w, state)

    if xp.jitted:
        import jax

        step = jax.jit(step)
    state, x = tuner.init(w), START
    for t in range(10):
        w, state, info = step(w, state)
        eta = 0.8 * min(1, (t + 1) / 3) if t < 3 else 0.4 * (1 + np.cos(np.pi * (t - 3) / 6))
        eta = 0.0 if t > 9 else eta
        assert float(info.learning_rate) == pytest.approx(eta, abs=1e-7)
        x = x * (1 - eta)
    assert_allclose(xp.numpy(w), x, atol=1e-7)


@pytest.mark.parametrize(
    "schedule",
    [
        warmup_constant(2.0, 5),
        warmup_cosine(2.0, 5, 20, end=0.5),
        inverse_sqrt(2.0, 5),
        warmup_stable_decay(2.0, 5, 20, decay=8, end=0.5),
    ],
    ids=lambda s: s.kind,
)
def test_schedules(schedule):
    rates = [schedule(t) for t in range(25)]
    assert_allclose(rates[:5], 2.0 * np.arange(1, 6) / 5)
    assert max(rates) == 2.0 and min(rates) > 0
    assert np.all(np.diff(rates[5:]) <= 1e-15)
    assert_allclose(schedule(np.arange(25.0)), rates, rtol=1e-14)
    assert hash(schedule) == hash(schedule)
    if schedule.kind in ("cosine", "decay"):
        assert rates[20] == rates[24] == 0.5


@pytest.mark.parametrize("base", [Adam(weight_decay=0.1), Adam(eps=0.0), RMSProp(), Momentum()])
def test_frozen_entries_stay_and_give_no_nan(xp, base):
    """A leaf without gradient: 0 / 0 in the root of the squares."""
    from fenchel import namespace

    params = problems.carried(xp, {"free": START, "frozen": np.zeros(2)})
    tuner = Constant(0.1, base=base)
    f = lambda p: parabola(p["free"]) + 0.0 * namespace(p["frozen"]).sum(p["frozen"])
    new, _, _ = tuner.step(f, params, tuner.init(params))
    assert_allclose(xp.numpy(new["frozen"]), 0.0)
    assert np.all(np.isfinite(xp.numpy(new["free"])))


def test_update_of_adam_has_the_decay():
    base, g = Adam(weight_decay=0.5), np.asarray([1.0, -2.0, 3.0])
    with_decay, _ = base.update(g, base.init(START), START)
    without, _ = Adam().update(g, Adam().init(START), START)
    assert_allclose(with_decay, without - 0.5 * START)


@pytest.mark.skipif(find_spec("optax") is None, reason="optax is not installed")
@pytest.mark.parametrize("name", ["adamw", "rmsprop", "heavy_ball", "nesterov"])
def test_bases_against_optax(name):
    libraries.get("jax")  # in double precision
    import jax.numpy as jnp
    import optax

    ours, theirs = {
        "adamw": (Adam(weight_decay=0.01), optax.adamw(1.0, weight_decay=0.01)),
        "rmsprop": (RMSProp(eps=1e-8), optax.rmsprop(1.0, eps=1e-8, eps_in_sqrt=False)),
        "heavy_ball": (Momentum(), optax.sgd(1.0, momentum=0.9)),
        "nesterov": (Momentum(kind="nesterov"), optax.sgd(1.0, momentum=0.9, nesterov=True)),
    }[name]
    rng, w = np.random.default_rng(0), jnp.asarray(START)
    s, t = ours.init(w), theirs.init(w)
    for _ in range(5):
        g = jnp.asarray(rng.standard_normal(3))
        a, s = ours.update(g, s, w)
        b, t = theirs.update(g, t, w)
        assert_allclose(a, b, rtol=1e-12)


def test_options_out_of_range():
    for make, name in (
        (lambda: Polyak(max_learning_rate=0.0), "max_learning_rate"),
        (lambda: Hypergradient(-1.0), "initial"),
        (lambda: Hypergradient(1.0, kind="both"), "kind"),
        (lambda: Momentum(1.0), "beta"),
        (lambda: Momentum(kind="polyak"), "kind"),
        (lambda: Adam(beta2=1.0), "beta2"),
        (lambda: warmup_cosine(1.0, 5, 5), "total"),
        (lambda: warmup_constant(0.0, 5), "peak"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            make()
    with pytest.raises(TypeError, match="`learning_rate` must"):
        Constant("fast")
    assert GradientDescent() == GradientDescent()
