"""The scalar core: its properties on floats, and the same numbers on arrays."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel.tuners import Averages, cdat_rule

numbers = st.floats(1e-6, 1e6)
anything = st.floats(allow_nan=False, allow_infinity=False)


@given(n=numbers, d=numbers, scaling=st.floats(0.1, 4))
def test_ratio(n, d, scaling):
    rate, _, flags = cdat_rule(n, d, scaling=scaling)
    assert rate == pytest.approx(scaling * n / d, rel=1e-14)
    assert not any((flags.ascent, flags.flat, flags.capped, flags.non_finite))
    assert cdat_rule(n, d, scaling=2 * scaling)[0] == pytest.approx(2 * rate, rel=1e-15)


@given(n=anything, d=anything, ema=st.sampled_from([0.0, 0.5, 0.99]))
def test_finite_and_not_negative(n, d, ema):
    state = None
    for _ in range(3):
        rate, state, _ = cdat_rule(n, d, state, ema=ema)
        assert rate >= 0 and math.isfinite(rate)


@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12), ema=st.floats(0, 0.95))
def test_averages_are_of_numerator_and_denominator(pairs, ema):
    state, n_mean, d_mean = None, 0.0, 0.0
    for n, d in pairs:
        rate, state, _ = cdat_rule(n, d, state, ema=ema)
        n_mean, d_mean = ema * n_mean + (1 - ema) * n, ema * d_mean + (1 - ema) * d
        assert rate == pytest.approx(2 * n_mean / d_mean, rel=1e-12)
    assert state.numerator == pytest.approx(n_mean, rel=1e-12)
    assert state.denominator == pytest.approx(d_mean, rel=1e-12)


@given(
    pairs=st.lists(st.tuples(numbers, numbers), min_size=2, max_size=8),
    factor=st.sampled_from([2.0**-40, 8.0, 2.0**60]),
)
def test_common_factor_does_not_matter(pairs, factor):
    one = other = None
    for n, d in pairs:
        a, one, _ = cdat_rule(n, d, one, ema=0.9)
        b, other, _ = cdat_rule(factor * n, factor * d, other, ema=0.9)
        assert a == pytest.approx(b, rel=1e-12)


@given(
    steps=st.lists(st.tuples(numbers, numbers, st.floats(1e-3, 1e3)), min_size=1, max_size=10),
    ema=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_scaled_form_is_the_naive_ratio(steps, ema):
    scaled = naive = None
    for n, d, s in steps:
        a, scaled, _ = cdat_rule(n, d, scaled, ema=ema, scale=s)
        b, naive, _ = cdat_rule(n * s, d * s**2, naive, ema=ema)
        assert a == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e25, 1e37])
def test_scaled_form_in_single_precision(xp, size):
    """n and d themselves lie outside the range of float32, the ratio does not."""
    n, d = np.float32(1.0), np.float32(1.0 / size) if size < 1 else np.float32(1e-20)
    arguments = [xp.array(np.asarray(v, "float32"), "float32") for v in (n, d, size)]

    def rule(n, d, scale):
        return cdat_rule(n, d, scale=scale)[0]

    rate = float(xp.numpy(xp.run_optimised(rule, *arguments)))
    assert rate == pytest.approx(2 * float(n) / float(d) / size, rel=1e-5)


def test_first_start_weighs_the_first_pair_fully():
    _, state, _ = cdat_rule(1.0, 2.0, ema=0.9, ema_init="first")
    assert (state.numerator, state.denominator) == (1.0, 2.0)
    rate, _, _ = cdat_rule(3.0, 4.0, state, ema=0.9, ema_init="first")
    assert rate == pytest.approx(2 * (0.9 * 1 + 0.1 * 3) / (0.9 * 2 + 0.1 * 4))


def test_uphill_is_zero_and_the_past_keeps_it_going():
    rate, state, flags = cdat_rule(-1.0, 2.0)
    assert rate == 0.0 and flags.ascent and not flags.flat
    assert cdat_rule(0.0, 0.0)[0] == 0.0
    _, state, _ = cdat_rule(1.0, 1.0, ema=0.5)
    rate, _, flags = cdat_rule(-1.0, 1.0, state, ema=0.5)
    assert flags.ascent and rate == pytest.approx(2 * 0.25 / 0.75)


@pytest.mark.parametrize("d", [0.0, 5e-324])
def test_no_curvature(d):
    rate, state, flags = cdat_rule(1.0, d)
    assert rate == 0.0 and flags.flat
    rate, _, flags = cdat_rule(1.0, d, max_learning_rate=3.0)
    assert rate == 3.0 and flags.flat
    _, state, _ = cdat_rule(1.0, 4.0)
    rate, _, flags = cdat_rule(1.0, d, state)
    assert rate == 0.5 and flags.flat


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_not_finite_halves_and_leaves_the_averages(bad, place):
    _, state, _ = cdat_rule(1.0, 4.0, ema=0.5)
    pair = [1.0, 1.0]
    pair[place] = bad
    rate, after, flags = cdat_rule(*pair, state, ema=0.5)
    assert rate == 0.25 and flags.non_finite and not flags.capped
    assert after[:3] == state[:3] and after.count == 1
    assert cdat_rule(*pair, after, ema=0.5)[0] == 0.125


def test_bounds_and_growth():
    assert cdat_rule(1.0, 1.0, max_learning_rate=0.5)[::2][1].capped
    rate, state, flags = cdat_rule(1.0, 1e6, min_learning_rate=0.25)
    assert rate == 0.25 and flags.capped
    rate, state, flags = cdat_rule(1.0, 1e-3, state, max_growth=2.0)
    assert rate == 0.5 and flags.capped
    # No growth from 0: the last positive learning rate counts.
    _, state, _ = cdat_rule(-1.0, 1.0, state)
    assert cdat_rule(1.0, 1e-3, state, max_growth=2.0)[0] == 1.0
    assert cdat_rule(-1.0, 1.0, min_learning_rate=0.25)[0] == 0.0


def test_eps_is_added_to_the_curvature():
    assert cdat_rule(1.0, 0.0, eps=4.0)[0] == 0.5
    assert cdat_rule(1.0, 1.0, eps=12.0, scale=2.0)[0] == pytest.approx(2 * 2 / (4 + 12))


@given(n=st.floats(-2, 2), d=st.floats(-2, 2), ema=st.sampled_from([0.0, 0.9]))
def test_arrays_give_the_numbers_of_floats(n, d, ema):
    assume(abs(d) > 1e-3)
    state, held = None, None
    for k in (1.0, 0.5, 2.0):
        rate, state, flags = cdat_rule(k * n, d, state, ema=ema, max_growth=1.5)
        array, held, marks = cdat_rule(
            np.asarray(k * n), np.asarray(d), held, ema=ema, max_growth=1.5
        )
        assert_allclose(array, rate, rtol=1e-15)
        assert [bool(m) for m in marks[:4]] == list(flags[:4])
    assert_allclose(np.asarray(list(held), float), list(state), rtol=1e-15)


def test_on_every_library(xp):
    def two(n, d):
        _, state, _ = cdat_rule(n, d, ema=0.5)
        return cdat_rule(2 * n, d, state, ema=0.5)[0]

    got = xp.run(two, xp.array(np.asarray(1.5)), xp.array(np.asarray(-4.0)))
    assert float(xp.numpy(got)) == pytest.approx(2 * (0.25 * 1.5 + 0.5 * 3) / 3, rel=1e-14)


def test_half_types_are_averaged_in_single_precision():
    _, state, _ = cdat_rule(np.asarray(1.0, "float16"), np.asarray(2.0, "float16"), ema=0.9)
    assert state.numerator.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scaling", -1.0),
        ("ema", 1.0),
        ("ema", -0.1),
        ("ema_init", "last"),
        ("eps", math.nan),
        ("max_learning_rate", -1.0),
        ("min_learning_rate", math.inf),
        ("max_growth", 0.5),
    ],
)
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        cdat_rule(1.0, 1.0, **{name: value})


def test_state_is_a_container():
    assert Averages._fields == ("numerator", "denominator", "scale", "learning_rate", "count")
