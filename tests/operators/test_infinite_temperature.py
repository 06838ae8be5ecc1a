"""Infinite temperature: the limit of each operator, with its derivatives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fenchel
from fenchel.operators import soft_rank, soft_sort, topk, topk_loss, topk_mask, topk_temperature

INF, NAN = float("inf"), float("nan")
X = np.asarray([[3.0, 1.0, 0.5, -2.0], [0.2, -INF, 0.7, 1.5]])
FINITE = np.asarray([[3.0, 1.0, 0.5, -2.0], [0.2, -0.1, 0.7, 1.5]])

LIMITS = {
    "mask": (lambda x, t: topk_mask(x, 2, temperature=t), [[0.5] * 4, [2 / 3, 0, 2 / 3, 2 / 3]]),
    "mask 4/3": (
        lambda x, t: topk_mask(x, 1.5, p=4 / 3, temperature=t),
        [[0.375] * 4, [0.5, 0, 0.5, 0.5]],
    ),
    "gated": (
        lambda x, t: topk(x, 1, kind="gated", temperature=t),
        [[0.75, 0.25, 0.125, -0.5], [0.2 / 3, 0, 0.7 / 3, 0.5]],
    ),
}
KEPT = {
    "debiased": (lambda x, t: topk(x, 2, temperature=t), FINITE),
    "positive": (lambda x, t: topk(x, 1, kind="positive", temperature=t), np.maximum(FINITE, 0)),
    "raw": (lambda x, t: topk(x, 2, p=1.5, debias=False, temperature=t), 0 * FINITE),
    "none": (lambda x, t: topk(x, 0, temperature=t), 0 * FINITE),
    "rank": (lambda x, t: soft_rank(x, temperature=t), [[2.5] * 4] * 2),
    "entropic rank": (
        lambda x, t: soft_rank(x, temperature=t, regularization="entropic"),
        [[2.5] * 4] * 2,
    ),
    "sort": (lambda x, t: soft_sort(x, temperature=t), [[0.625] * 4, [0.575] * 4]),
}
CASES = {name: (f, X, y) for name, (f, y) in LIMITS.items()}
CASES |= {name: (f, FINITE, y) for name, (f, y) in KEPT.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_limit_for_numbers_and_for_rows(xp, name):
    f, x, wanted = CASES[name]
    found = xp.numpy(xp.run(lambda x: f(x, INF), xp.array(x)))
    assert_allclose(found, wanted, atol=1e-15)
    rows = xp.numpy(xp.run(f, xp.array(x), xp.array([[INF], [0.3]])))
    assert_allclose(rows[0], wanted[0], atol=1e-15)
    assert_allclose(rows[1], xp.numpy(xp.run(lambda x: f(x, 0.3), xp.array(x[1]))), atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_limit(name):
    f, x, wanted = CASES[name]
    assert_allclose(f(x, 1e9), wanted, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_nan_rows(name):
    f, x, _ = CASES[name]
    broken = np.where(np.arange(4) == 1, NAN, x[0])
    assert np.isnan(f(broken, INF)).all()


SLOPES = {"mask": 0, "mask 4/3": 0, "debiased": 1, "raw": 0, "rank": 0, "entropic rank": 0}


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_are_those_of_the_limit(xp, name):
    f = CASES[name][0]

    def pulled(x, g):
        return fenchel.vjp(lambda x: f(x, INF), x)[1](g)[0]

    g = np.asarray([[1.0, -2.0, 0.5, 3.0], [2.0, 0.3, -1.0, 1.0]])
    found = xp.numpy(xp.run(pulled, xp.array(FINITE), xp.array(g)))
    assert_allclose(found, SLOPES[name] * g, atol=1e-15)


def test_derivatives_in_budget_and_temperature(xp):
    def pulled(x, k, t):
        pull = fenchel.vjp(lambda x, k, t: topk_mask(x, k, temperature=t), x, k, t)[1]
        return pull(fenchel.namespace(x).asarray(g))

    g = xp.array([[1.0, -2.0, 0.5, 3.0], [1.0, -2.0, 0.5, 3.0]])
    arguments = xp.array(FINITE), xp.array([[2.0], [2.0]]), xp.array([[INF], [1.0]])
    gx, gk, gt = xp.numpy(xp.run(pulled, *arguments))
    assert_array_equal(gx[0], 0)
    assert_allclose(gk[0], 2.5 / 4)
    assert_array_equal(gt[0], 0)
    assert np.isfinite(gx).all() and np.isfinite(gk).all() and np.isfinite(gt).all()


def test_infinite_scores_come_first(xp):
    x = np.asarray([[INF, 1.0, -INF, 0.0], [INF, INF, INF, 0.0], [-INF] * 4])
    y = xp.numpy(xp.run(lambda x: topk_mask(x, 2, temperature=INF), xp.array(x)))
    assert_allclose(y, [[1, 0.5, 0, 0.5], [2 / 3, 2 / 3, 2 / 3, 0], [0] * 4], atol=1e-15)
    kept = xp.numpy(xp.run(lambda x: topk(x, 2, temperature=INF), xp.array(x)))
    assert_array_equal(kept, [[INF, 0, -INF, 0], [INF, INF, INF, 0], [-INF] * 4])
    ranks = xp.numpy(xp.run(lambda x: soft_rank(x, temperature=INF), xp.array(x[0])))
    assert_array_equal(ranks, [4, 2.5, 1, 2.5])


@pytest.mark.parametrize("solver", ["auto", "pav", "dykstra"])
@pytest.mark.parametrize("f", [topk, topk_mask])
def test_information(xp, f, solver):
    def both(x, t=INF):
        return f(x, 2, temperature=t, solver=solver, return_info=True)

    x, each = xp.array(FINITE), xp.array([[INF], [INF]])
    for y, info in (xp.run(both, x), xp.run(both, x, each)):
        assert_allclose(xp.numpy(y), 0.5 + 0 * FINITE if f is topk_mask else FINITE)
        assert xp.numpy(info.support).all() and not xp.numpy(info.saturated).any()
        assert xp.numpy(info.converged).all() and not xp.numpy(info.already_hard).any()
        assert_allclose(xp.numpy(info.residual), 0, atol=1e-15)
        threshold, value = (-INF, -INF) if f is topk_mask else (0, 0)
        assert_array_equal(xp.numpy(info.threshold), [threshold] * 2)
        assert_array_equal(xp.numpy(info.value), [value] * 2)


@pytest.mark.parametrize("f", [topk, topk_mask])
def test_information_where_all_or_nothing_is_kept(xp, f):
    x = xp.array(FINITE)
    _, info = xp.run(lambda x: f(x, 4, temperature=INF, return_info=True), x)
    assert xp.numpy(info.saturated).all() and xp.numpy(info.already_hard).all()
    y, info = xp.run(lambda x: f(x, 0, temperature=INF, return_info=True), x)
    assert_array_equal(xp.numpy(y), 0)
    assert_array_equal(xp.numpy(info.threshold), [INF, INF])
    assert_array_equal(xp.numpy(info.value), [0, 0])
    assert not xp.numpy(info.support).any() and xp.numpy(info.converged).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3])
def test_information_at_temperature_zero(xp, dtype, p):
    """A stand-in for 0 must not underflow when it is raised to q - 1."""
    x = xp.array(FINITE, dtype=dtype)
    for t in (0.0, 1e-20, xp.array([[0.0], [0.0]], dtype=dtype)):
        y, info = topk(x, 2, temperature=t, p=p, return_info=True)
        squares = (xp.numpy(y).astype(float) ** 2).sum(-1) / 2
        assert_allclose(xp.numpy(info.value), squares, rtol=1e-6)
        assert_allclose(xp.numpy(info.residual), 0, atol=1e-6)
        assert xp.numpy(info.already_hard).all()


@pytest.mark.parametrize(("k", "active"), [(1, 2), (2, 2), (1.5, 3), (0, 2), (2, 4)])
def test_round_trip_of_the_temperature(xp, k, active):
    """Masked entries, infinite ones and small rows: the temperature serves as it is."""
    rows = np.asarray(
        [[3.0, 1.0, 0.5, 2.0], [3.0, 1.0, -INF, -INF], [INF, 1.0, 0.0, 2.0], [-INF] * 4]
    )

    def mask(x):
        strength = topk_temperature(x, k, active=active)
        return strength, topk_mask(x, k, temperature=strength)

    strength, y = xp.numpy(xp.run(mask, xp.array(rows)))
    assert (strength > 0).all()
    assert ((y > 0).sum(-1) <= active).all()
    assert_allclose(y.sum(-1), np.minimum(k, [4, 2, 4, 0]), atol=1e-12)
    if active == 4:
        assert_array_equal(strength, [[INF]] * 4)
        assert_allclose(y[0], k / 4)


def test_temperature_of_a_row_with_a_nan(xp):
    for active in (2, 3):
        x = xp.array([[3.0, NAN, 1.0], [3.0, 2.0, 1.0]])
        strength = xp.numpy(topk_temperature(x, 1, active=active))
        assert np.isnan(strength[0, 0]) and not np.isnan(strength[1, 0])


def test_the_loss_needs_a_finite_temperature(xp):
    x = xp.array([1.0, 0.0])
    with pytest.raises(ValueError, match="`temperature` must be above 0 and finite; got tempera"):
        topk_loss(x, x, 1, temperature=INF)


def test_a_temperature_that_is_nan_gives_nan(xp):
    y = xp.run(lambda x, t: topk_mask(x, 2, temperature=t), xp.array(FINITE), xp.array([[NAN]] * 2))
    assert np.isnan(xp.numpy(y)).all()
