"""The relaxed top-k in magnitude has the properties its definition implies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq

import fenchel
from fenchel.operators import topk, topk_mask
from fenchel.testing.strategies import scores, temperatures
from tests.properties import oracles

EXPONENTS = st.sampled_from([2.0, 1.5, 4 / 3, 1.25])
ROWS = scores(shape=(3, 6))
BUDGETS = st.integers(1, 6)
STRENGTHS = temperatures(low=0.05, high=20)
few = settings(max_examples=40, deadline=None)


def apply(library, x, k, **options):
    return library.numpy(topk(library.array(x), k, **options))


@few
@given(
    x=ROWS,
    k=BUDGETS,
    temperature=STRENGTHS,
    p=EXPONENTS,
    debias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_odd_and_equivariant(library, x, k, temperature, p, debias, seed):
    rng = np.random.default_rng(seed)
    options = {"temperature": temperature, "p": p, "debias": debias}
    y = apply(library, x, k, **options)
    signs, places = rng.choice([-1.0, 1.0], x.shape), rng.permutation(6)
    assert_allclose(apply(library, x * signs, k, **options), y * signs, atol=1e-9)
    assert_allclose(apply(library, x[:, places], k, **options), y[:, places], atol=1e-9)
    assert ((np.sign(y) == np.sign(x)) | (y == 0)).all()


@few
@given(x=ROWS, k=BUDGETS, temperature=STRENGTHS, debias=st.booleans())
def test_positively_homogeneous_for_p_2(library, x, k, temperature, debias):
    options = {"temperature": temperature, "debias": debias}
    y = apply(library, x, k, **options)
    assert_allclose(apply(library, 4.0 * x, k, **options), 4.0 * y, atol=1e-9)


@few
@given(x=ROWS, k=st.integers(1, 5), temperature=STRENGTHS, p=EXPONENTS)
def test_hard_exactly_when_the_gap_is_wide_enough(library, x, k, temperature, p):
    size = np.sort(np.abs(x), axis=-1)[:, ::-1]
    kth, following = size[:, k - 1], size[:, k]
    edge = following + temperature * following ** (p - 1)
    y = apply(library, x, k, temperature=temperature, p=p)
    hard = np.where(np.abs(x) >= kth[:, None], x, 0.0)
    is_hard = (y == hard).all(axis=-1)
    assert is_hard[kth > edge * (1 + 1e-9)].all()
    assert not is_hard[kth < edge * (1 - 1e-6)].any()


@few
@given(x=ROWS, temperature=STRENGTHS, p=EXPONENTS, extra=st.integers(0, 6))
def test_identity_when_the_budget_covers_the_nonzeros(library, x, temperature, p, extra):
    x = np.where(np.arange(6) < extra, 0.0, x)
    k = int((x != 0).sum(axis=-1).max())
    assert_array_equal(apply(library, x, k, temperature=temperature, p=p), x)


@few
@given(x=ROWS, k=BUDGETS, temperature=STRENGTHS, p=EXPONENTS)
def test_kept_entries_are_returned_exactly(library, x, k, temperature, p):
    y, info = topk(library.array(x), k, temperature=temperature, p=p, return_info=True)
    y, kept, on = library.numpy((y, info.saturated, info.support))
    assert_array_equal(y[kept], x[kept])
    assert (y[~on] == 0).all()
    assert (np.abs(y) <= np.abs(x) + 1e-12).all()
    assert kept.sum(axis=-1).max() <= k and (kept <= on).all()


@few
@given(
    x=scores(shape=(6,)),
    k=BUDGETS,
    temperature=temperatures(low=0.1, high=5),
    p=EXPONENTS,
    seed=st.integers(0, 99),
)
def test_no_point_has_a_better_objective(library, x, k, temperature, p, seed):
    """The value is the least of R*(x - u) + half the k largest squares of u: no duality gap."""
    options = {"temperature": temperature, "p": p}
    raw, info = topk(library.array(x), k, debias=False, return_info=True, **options)
    u = x - temperature * np.sign(x) * np.abs(library.numpy(raw)) ** (p - 1)
    best = oracles.magnitude_objective(u, x, k, temperature, p)
    assert_allclose(float(library.numpy(info.value)), best, rtol=1e-8, atol=1e-8)
    rng = np.random.default_rng(seed)
    for scale in (1e-3, 1e-1, 1.0):
        other = u + scale * rng.normal(size=6)
        assert oracles.magnitude_objective(other, x, k, temperature, p) >= best - 1e-9 * (1 + best)


@few
@given(x=ROWS, k=BUDGETS, temperature=STRENGTHS, p=EXPONENTS)
def test_debiased_is_raw_plus_the_gradient_of_the_regularizer(library, x, k, temperature, p):
    options = {"temperature": temperature, "p": p}
    raw = apply(library, x, k, debias=False, **options)
    wanted = raw + temperature * np.sign(raw) * np.abs(raw) ** (p - 1)
    assert_allclose(apply(library, x, k, **options), wanted, atol=1e-8 * (1 + temperature))


def test_raw_saturated_entry_solves_its_equation(xp):
    x, temperature, p = [5.0, 0.1, -0.2], 0.7, 4 / 3
    found = xp.run(lambda x: topk(x, 1, temperature=temperature, p=p, debias=False), xp.array(x))
    wanted = brentq(lambda v: v + temperature * v ** (p - 1) - 5.0, 0, 5, xtol=1e-14)
    assert_allclose(xp.numpy(found), [wanted, 0, 0], atol=1e-12)


@few
@given(x=ROWS, k=BUDGETS, temperature=STRENGTHS)
def test_positive_and_gated(library, x, k, temperature):
    positive = apply(library, x, k, temperature=temperature, kind="positive")
    wanted = apply(library, np.maximum(x, 0), k, temperature=temperature)
    assert_allclose(positive, wanted, atol=1e-12)
    gated = apply(library, x, k, temperature=temperature, kind="gated")
    mask = library.numpy(topk_mask(library.array(x), k, temperature=temperature))
    assert_allclose(gated, x * mask, atol=1e-12)


@pytest.mark.parametrize("solver", ["pav", "dykstra"])
@settings(max_examples=25, deadline=None)
@given(x=ROWS, k=BUDGETS, temperature=STRENGTHS, debias=st.booleans())
def test_solvers_agree(library, solver, x, k, temperature, debias):
    options = {"temperature": temperature, "debias": debias}
    y = apply(library, x, k, **options)
    found, info = topk(library.array(x), k, solver=solver, return_info=True, **options)
    assert library.numpy(info.converged).all()
    assert_allclose(library.numpy(found), y, atol=1e-7 * max(1, 1 / temperature))


def near_a_kink(x, k, temperature, p):
    """Whether rounding decides if an entry is off, free or kept."""
    _, info = topk(x, k, temperature=temperature, p=p, return_info=True)
    theta = float(info.threshold)
    edges = theta, theta + temperature * theta ** (p - 1)
    return any((np.abs(np.abs(x) - edge) < 1e-6 * (1 + edge)).any() for edge in edges)


@few
@given(
    x=scores(shape=(6,)),
    k=BUDGETS,
    temperature=temperatures(low=0.1, high=5),
    p=EXPONENTS,
    debias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_forward_and_reverse_are_adjoint(library, x, k, temperature, p, debias, seed):
    rng = np.random.default_rng(seed)
    v, g = rng.normal(size=6), rng.normal(size=6)

    def f(x):
        return topk(x, k, temperature=temperature, p=p, debias=debias)

    at = library.array(x)
    if near_a_kink(x, k, temperature, p):
        return  # the two modes may stand on different sides of it
    push = library.numpy(fenchel.jvp(f, (at,), (library.array(v),))[1])
    pull = library.numpy(fenchel.vjp(f, at)[1](library.array(g))[0])
    assert np.isfinite(push).all() and np.isfinite(pull).all()
    size = max(1.0, np.abs(pull).max(), np.abs(push).max())
    assert_allclose(push @ g, pull @ v, atol=1e-8 * size)


@pytest.mark.parametrize("p", [2.0, 4 / 3])
@pytest.mark.parametrize("debias", [True, False])
def test_derivative_is_the_closed_formula(xp, p, debias):
    """F: a (G - <a, G>/(n_F + A)) and its debiased form, off: 0, saturated: its own equation."""
    x = np.asarray([4.0, 1.0, -0.9, 0.8, 0.05])
    temperature, k, q = 0.6, 2, p / (p - 1)
    cotangent = np.asarray([1.0, -2.0, 0.5, 3.0, 4.0])

    def f(x):
        return topk(x, k, temperature=temperature, p=p, debias=debias)

    found = xp.run(lambda x, g: fenchel.vjp(f, x)[1](g)[0], xp.array(x), xp.array(cotangent))
    _, info = topk(x, k, temperature=temperature, p=p, return_info=True)
    free, full = info.support & ~info.saturated, info.saturated
    assert free.sum() == 3 and full.sum() == 1
    s, g = np.abs(x), cotangent * np.sign(x)
    v = np.where(free, info.threshold, s)
    v[0] = brentq(lambda v: v + temperature * v ** (p - 1) - 4.0, 0, 4, xtol=1e-14)
    a = (q - 1) / temperature * (np.maximum(s - v, 0) / temperature) ** (q - 2)
    total = (k - full.sum()) + a[free].sum()
    wanted = np.zeros(5)
    if debias:
        wanted[free] = ((1 + a) * g)[free] - a[free] * ((1 + a) * g)[free].sum() / total
        wanted[full] = g[full]
    else:
        wanted[free] = a[free] * (g[free] - (a * g)[free].sum() / total)
        wanted[full] = (a / (1 + a) * g)[full]
    assert_allclose(xp.numpy(found), wanted * np.sign(x), atol=1e-8)


def test_hard_zeros_have_no_sign(xp):
    """Entries that are off are 0, and not -0, whatever their sign was."""
    kept = xp.numpy(topk(xp.array([-3.0, -1.0, 2.0, -0.5]), 2, temperature=0.0))
    assert kept.tolist() == [-3.0, 0.0, 2.0, 0.0]
    assert not np.any(np.signbit(kept[[1, 3]]))
