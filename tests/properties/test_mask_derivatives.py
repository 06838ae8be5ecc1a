"""Derivatives of the mask: the closed formulas of the paper, and where they stop to exist."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import fenchel
from fenchel.operators import topk_loss, topk_mask
from fenchel.testing.strategies import budgets, scores, temperatures

EXPONENTS = st.sampled_from([2.0, 1.5, 4 / 3])
few = settings(max_examples=30, deadline=None)


def slopes(x, y, temperature, p):
    """h of the paper: dy_i/dx_i at a fixed threshold."""
    q = p / (p - 1)
    free = (y > 0) & (y < 1)
    u = np.where(free, y, 1.0) ** (1 / (q - 1))
    return np.where(free, (q - 1) / temperature * u ** (q - 2), 0.0)


def jacobian(library, x, k, **options):
    found = fenchel.autodiff.jacobian(lambda x: topk_mask(x, k, **options))(library.array(x))
    return library.numpy(found)


@few
@given(x=scores(shape=(6,)), k=budgets(6), temperature=temperatures(low=0.1), p=EXPONENTS)
def test_jacobian_is_the_closed_formula(library, x, k, temperature, p):
    options = {"temperature": temperature, "p": p}
    y = library.numpy(topk_mask(library.array(x), k, **options))
    h = slopes(x, y, temperature, p)
    if (h > 0).any() and h[h > 0].min() < 1e-3 * h.max():
        return  # at the edge of the support h itself is not determined to rounding
    total = h.sum() if h.sum() > 0 else 1.0
    found = jacobian(library, x, k, **options)
    assert_allclose(found, np.diag(h) - np.outer(h, h) / total, atol=1e-6 * max(1, h.max()))


@few
@given(x=scores(shape=(6,)), k=budgets(6), temperature=temperatures(low=0.1), p=EXPONENTS)
def test_jacobian_is_symmetric_positive_semidefinite(library, x, k, temperature, p):
    found = jacobian(library, x, k, temperature=temperature, p=p)
    size = max(1.0, np.abs(found).max())
    assert np.isfinite(found).all()
    assert_allclose(found, found.T, atol=1e-7 * size)
    assert_allclose(found.sum(axis=-1), 0, atol=1e-7 * size)
    assert np.linalg.eigvalsh((found + found.T) / 2).min() >= -1e-7 * size
    y = library.numpy(topk_mask(library.array(x), k, temperature=temperature, p=p))
    h = slopes(x, y, temperature, p)
    assert np.trace(found) <= (h > 0).sum() * h.max() * (1 + 1e-6) + 1e-6


@few
@given(
    x=scores(shape=(6,)),
    k=budgets(6),
    temperature=temperatures(low=0.1),
    p=EXPONENTS,
    seed=st.integers(0, 99),
)
def test_forward_and_reverse_are_adjoint(library, x, k, temperature, p, seed):
    rng = np.random.default_rng(seed)
    v, g = library.array(rng.normal(size=6)), library.array(rng.normal(size=6))

    def f(x):
        return topk_mask(x, k, temperature=temperature, p=p)

    at = library.array(x)
    _, push = fenchel.jvp(f, (at,), (v,))
    pull = fenchel.vjp(f, at)[1](g)[0]
    left = library.numpy(push) @ library.numpy(g)
    right = library.numpy(pull) @ library.numpy(v)
    assert_allclose(left, right, rtol=1e-8, atol=1e-8)


@few
@given(x=scores(shape=(6,)), k=st.integers(1, 5), temperature=temperatures(low=0.1), p=EXPONENTS)
def test_gradient_of_the_loss_is_the_residual(library, x, k, temperature, p):
    target = np.full(6, k / 6)
    options = {"temperature": temperature, "p": p}

    def loss(x):
        return topk_loss(x, library.array(target), k, **options)

    found = library.numpy(fenchel.grad(loss)(library.array(x)))
    wanted = library.numpy(topk_mask(library.array(x), k, **options)) - target
    assert_allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize("p", [2.0, 4 / 3])
def test_derivatives_in_budget_and_temperature(xp, p):
    """dy/dk = h/H and dy/dl = -h (t/l - <h, t>/(l H)), t = x - tau."""
    x, k, temperature = np.asarray([3.0, 1.0, 0.5, 2.0]), 1.7, 2.5

    def f(k, temperature):
        return topk_mask(xp.array(x), k, temperature=temperature, p=p)

    ones = xp.array([1.0]), xp.array([0.0])
    at = xp.array([k]), xp.array([temperature])
    y, in_k = xp.run(lambda *v: fenchel.jvp(f, at, v), *ones)
    _, in_temperature = xp.run(lambda *v: fenchel.jvp(f, at, v), *ones[::-1])
    y, q = xp.numpy(y), p / (p - 1)
    h = slopes(x, y, temperature, p)
    tau = np.mean((x - temperature * y ** (1 / (q - 1)))[(y > 0) & (y < 1)])
    t = x - tau
    assert_allclose(xp.numpy(in_k), h / h.sum(), atol=1e-9)
    wanted = -h * (t / temperature - (h @ t) / (temperature * h.sum()))
    assert_allclose(xp.numpy(in_temperature), wanted, atol=1e-9)


def test_smooth_at_the_support_edge_but_not_at_saturation(xp):
    """p = 4/3, x = (x1, .1, 0), k = 2, l = 1: slopes 1.670 and 0 around x1 = 0.259449."""

    def slope(x1):
        def f(x1):
            xp_ = fenchel.namespace(x1)
            x = xp_.concat([x1, xp.array([0.1, 0.0])])
            return topk_mask(x, 2, p=4 / 3)[:1]

        at = xp.array([x1])
        return float(xp.numpy(xp.run(lambda v: fenchel.jvp(f, (at,), (v,))[1], xp.array([1.0])))[0])

    assert_allclose(slope(0.259449 - 1e-5), 1.670, atol=2e-3)
    assert slope(0.259449 + 1e-5) == 0
    # At the zero edge the derivative is continuous: it tends to 0 from both sides.
    x = xp.array([1.0, 0.4])

    def second(d):
        def f(x):
            return topk_mask(x, 1, p=4 / 3)

        moved = xp.array([1.0, d])
        return float(xp.numpy(xp.run(lambda v: fenchel.jvp(f, (moved,), (v,))[1], x))[1])

    assert second(-1e-4) == 0
    assert abs(second(1e-4)) < 1e-6


@pytest.mark.parametrize("k", [0, 4])
def test_no_budget_and_full_budget_have_no_gradient(xp, k):
    x = xp.array([3.0, 1.0, 0.5, 2.0])
    y, slope = xp.run(
        lambda v: fenchel.jvp(lambda x: topk_mask(x, k), (x,), (v,)), xp.array([1.0, 2.0, 3.0, 4.0])
    )
    assert (xp.numpy(y) == k / 4).all() and (xp.numpy(slope) == 0).all()
