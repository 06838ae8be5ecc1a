"""The relaxed top-k mask has the properties its definition implies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.operators import topk_loss, topk_mask
from fenchel.testing.strategies import budgets, scores, temperatures
from tests.properties import oracles

EXPONENTS = st.sampled_from([2.0, 1.5, 4 / 3, 1.25])
ROWS = scores(shape=(3, 6))
few = settings(max_examples=40, deadline=None)


def mask(library, x, k, **options):
    return library.numpy(topk_mask(library.array(x), k, **options))


@few
@given(x=ROWS, k=budgets(6), temperature=temperatures(), p=EXPONENTS)
def test_feasible_and_order_preserving(library, x, k, temperature, p):
    y = mask(library, x, k, temperature=temperature, p=p)
    assert (y >= 0).all() and (y <= 1).all()
    # Where l is large, the sum inherits the rounding of (x - tau)/l, by its slope.
    assert_allclose(y.sum(axis=-1), k, rtol=1e-9, atol=1e-9)
    order = np.argsort(x, axis=-1, kind="stable")
    ranked = np.take_along_axis(y, order, axis=-1)
    assert (np.diff(ranked, axis=-1) >= 0).all()
    tied = np.diff(np.take_along_axis(x, order, axis=-1), axis=-1) == 0
    assert (np.diff(ranked, axis=-1)[tied] == 0).all()


@few
@given(x=ROWS, k=budgets(6), temperature=temperatures(), p=EXPONENTS, seed=st.integers(0, 99))
def test_permutation_equivariant(library, x, k, temperature, p, seed):
    places = np.random.default_rng(seed).permutation(6)
    options = {"temperature": temperature, "p": p}
    moved = mask(library, x[:, places], k, **options)
    assert_allclose(moved, mask(library, x, k, **options)[:, places], atol=1e-9)


@few
@given(
    x=ROWS, k=budgets(6), temperature=temperatures(), p=EXPONENTS, shift=st.integers(-1024, 1024)
)
def test_shift_and_scale(library, x, k, temperature, p, shift):
    y = mask(library, x, k, temperature=temperature, p=p)
    moved = mask(library, x + shift, k, temperature=temperature, p=p)
    slack = 1e-11 * max(1.0, 1 / temperature) * (p / (p - 1))
    assert_allclose(moved, y, atol=100 * slack)
    scaled = mask(library, 4.0 * x, k, temperature=4.0 * temperature, p=p)
    assert_allclose(scaled, y, atol=slack)


@few
@given(x=ROWS, k=st.integers(1, 5), temperature=temperatures(), p=EXPONENTS)
def test_hard_exactly_when_the_gap_is_at_least_the_temperature(library, x, k, temperature, p):
    ordered = np.sort(x, axis=-1)[:, ::-1]
    gap = ordered[:, k - 1] - ordered[:, k]
    y = mask(library, x, k, temperature=temperature, p=p)
    hard = (x >= ordered[:, k - 1 : k]).astype(float)
    is_hard = (y == hard).all(axis=-1)
    assert is_hard[gap >= temperature].all()
    assert not is_hard[gap < temperature * (1 - 1e-6)].any()


@few
@given(x=ROWS, k=st.integers(1, 5), temperature=temperatures(), p=EXPONENTS)
def test_far_entries_are_settled(library, x, k, temperature, p):
    ordered = np.sort(x, axis=-1)[:, ::-1]
    y = mask(library, x, k, temperature=temperature, p=p)
    slack = 1e-9 * (1 + temperature)
    assert (y[x <= ordered[:, k : k + 1] - temperature - slack] == 0).all()
    assert (y[x >= ordered[:, k - 1 : k] + temperature + slack] == 1).all()


@few
@given(x=ROWS, other=ROWS, k=budgets(6), temperature=temperatures(low=0.1), p=EXPONENTS)
def test_monotone_and_lipschitz(library, x, other, k, temperature, p):
    options = {"temperature": temperature, "p": p}
    step = x - other
    moved = mask(library, x, k, **options) - mask(library, other, k, **options)
    assert ((step * moved).sum(axis=-1) >= -1e-9).all()
    bound = np.linalg.norm(step, axis=-1) / (temperature * (p - 1))
    assert (np.linalg.norm(moved, axis=-1) <= bound * (1 + 1e-9) + 1e-9).all()


@few
@given(x=ROWS, k=st.integers(0, 6), temperature=temperatures(low=0.1), p=EXPONENTS)
def test_value_lies_between_its_bounds(library, x, k, temperature, p):
    _, info = topk_mask(library.array(x), k, temperature=temperature, p=p, return_info=True)
    value, n = library.numpy(info.value), x.shape[-1]
    hard = np.sort(x, axis=-1)[:, n - k :].sum(axis=-1)
    slack = 1e-9 * (1 + temperature)
    assert (value >= hard - temperature * k / p - slack).all()
    assert (value <= hard - temperature / p * n * (k / n) ** p + slack).all()


@few
@given(x=ROWS, k=budgets(6), p=EXPONENTS)
def test_tends_to_uniform(library, x, k, p):
    y = mask(library, x, k, temperature=1e9, p=p)
    assert_allclose(y, k / 6, atol=1e-6)


@few
@given(x=ROWS, pair=st.tuples(budgets(6), budgets(6)), temperature=temperatures(), p=EXPONENTS)
def test_non_decreasing_in_the_budget(library, x, pair, temperature, p):
    low, high = sorted(pair)
    options = {"temperature": temperature, "p": p}
    more, less = mask(library, x, high, **options), mask(library, x, low, **options)
    assert (more >= less - 1e-9).all()


@few
@given(x=ROWS, k=budgets(6), temperature=temperatures())
def test_reflection(library, x, k, temperature):
    y = mask(library, x, k, temperature=temperature)
    other = mask(library, -x, 6 - k, temperature=temperature)
    assert_allclose(other, 1 - y, atol=1e-9 * max(1, 1 / temperature))


@few
@given(x=scores(shape=(5,)), k=st.integers(1, 4), temperature=temperatures(low=0.1, high=20))
def test_equals_the_best_of_all_supports(library, x, k, temperature):
    wanted = oracles.mask_by_supports(x, k, temperature)
    assert_allclose(mask(library, x, k, temperature=temperature), wanted, atol=1e-9)


@few
@given(x=scores(shape=(6,)), k=st.floats(0.1, 5.9), temperature=temperatures(), p=EXPONENTS)
def test_equals_bisection(library, x, k, temperature, p):
    wanted = oracles.mask_by_bisection(x, k, temperature, p)
    found = mask(library, x, k, temperature=temperature, p=p)
    assert_allclose(found, wanted, atol=1e-10 * max(1, 1 / temperature) * p / (p - 1))


@few
@given(
    x=scores(shape=(6,)),
    other=scores(shape=(6,)),
    k=st.integers(1, 5),
    temperature=temperatures(low=0.1),
    p=EXPONENTS,
)
def test_loss_is_non_negative_and_zero_at_its_prediction(library, x, other, k, temperature, p):
    options = {"temperature": temperature, "p": p}
    target = mask(library, other, k, **options)
    loss = topk_loss(library.array(x), library.array(target), k, **options)
    assert float(library.numpy(loss)) >= 0
    own = library.array(mask(library, x, k, **options))
    at_own = float(library.numpy(topk_loss(library.array(x), own, k, **options)))
    assert math.isclose(at_own, 0, abs_tol=1e-9 * (1 + temperature))
    if np.abs(target - mask(library, x, k, **options)).max() > 1e-3:
        assert float(library.numpy(loss)) > 0


@pytest.mark.parametrize("solver", ["pav", "dykstra"])
@settings(max_examples=25, deadline=None)
@given(x=ROWS, k=st.integers(0, 6), temperature=temperatures(low=0.05))
def test_solvers_agree(library, solver, x, k, temperature):
    y = mask(library, x, k, temperature=temperature)
    found, info = topk_mask(
        library.array(x), k, temperature=temperature, solver=solver, return_info=True
    )
    assert library.numpy(info.converged).all()
    assert_allclose(library.numpy(found), y, atol=1e-7 * max(1, 1 / temperature))


def test_equal_entries_share_exactly(xp):
    y = xp.run(lambda x: topk_mask(x, 2), xp.array([0.0, 0.0, -5.0, 5.0]))
    assert_array_equal(xp.numpy(y), [0.5, 0.5, 0.0, 1.0])
