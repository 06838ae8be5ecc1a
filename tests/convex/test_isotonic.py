"""Values of the isotonic fits, on every library and by both routes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import isotonic_regression as scipy_isotonic

from fenchel.convex import isotonic_regression
from tests.convex import oracles

LOSSES = {"squared": {}, "kl": {}, "pnorm": {"p": 1.5}}
pytestmark = pytest.mark.usefixtures("route")


def fit(xp, y, weights=None, **options):
    if weights is None:
        return xp.numpy(xp.run(lambda y: isotonic_regression(y, **options), xp.array(y)))
    run = lambda y, w: isotonic_regression(y, weights=w, **options)
    return xp.numpy(xp.run(run, xp.array(y), xp.array(weights)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("increasing", [True, False])
def test_matches_the_min_max_formula(xp, rng, loss, increasing):
    y, w = rng.normal(size=(2, 3, 7)), rng.uniform(0.2, 2, size=(2, 3, 7))
    expected = oracles.rows(
        lambda y, w: oracles.isotonic(y, w, oracles.BLOCK_VALUES[loss], increasing), y, w
    )
    got = fit(xp, y, w, loss=loss, increasing=increasing, **LOSSES[loss])
    assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_default_weights(xp, rng, loss):
    y = rng.normal(size=(4, 6))
    expected = oracles.rows(lambda y: oracles.isotonic(y, None, oracles.BLOCK_VALUES[loss]), y)
    assert_allclose(fit(xp, y, loss=loss, **LOSSES[loss]), expected, atol=1e-12)


@pytest.mark.parametrize("p", [1.1, 2.0, 3.0, 4.0, 6.5])
def test_exponents(xp, rng, p):
    y, w = rng.normal(size=8), rng.uniform(0.2, 2, size=8)
    expected = oracles.isotonic(y, w, oracles.pnorm_centre(p))
    assert_allclose(fit(xp, y, w, loss="pnorm", p=p), expected, atol=1e-11)


@pytest.mark.parametrize("trend", [0.0, 0.05, -0.05])
def test_long_rows_match_scipy(xp, rng, trend):
    y = rng.normal(size=400) + trend * np.arange(400)
    w = rng.uniform(0.2, 2, size=400)
    assert_allclose(fit(xp, y), scipy_isotonic(y).x, atol=1e-12)
    assert_allclose(fit(xp, y, w), scipy_isotonic(y, weights=w).x, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -2, 2])
def test_axis_and_leading_axes(xp, rng, axis):
    y = rng.normal(size=(3, 4, 5))
    w = rng.uniform(0.2, 2, size=(4, 1))
    full = np.broadcast_to(w, y.shape)
    expected = np.moveaxis(
        oracles.rows(oracles.isotonic, np.moveaxis(y, axis, -1), np.moveaxis(full, axis, -1)),
        -1,
        axis,
    )
    assert_allclose(fit(xp, y, w, axis=axis), expected, atol=1e-13)


def test_bounds_give_the_bounded_optimum(xp, rng):
    y = rng.normal(size=(3, 6))
    lower, upper = np.array([[-0.5], [0.0], [-2.0]]), 0.4
    expected = np.clip(oracles.rows(oracles.isotonic, y), lower, upper)
    run = lambda y, b: isotonic_regression(y, lower=b, upper=upper)
    assert_allclose(xp.numpy(xp.run(run, xp.array(y), xp.array(lower))), expected, atol=1e-13)


def test_bounded_optimum_satisfies_its_optimality_condition(rng):
    """<v - y, z - v> >= 0 for every feasible z, so clipping is no shortcut."""
    y = rng.normal(size=20)
    v = isotonic_regression(y, lower=-0.3, upper=0.2)
    feasible = np.clip(np.sort(rng.normal(size=(200, 20)), axis=-1), -0.3, 0.2)
    assert np.min((feasible - v) @ (v - y)) >= -1e-12


def test_info_of_pooling(xp):
    y = np.array([[1.0, 3.0, 2.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    got, info = xp.run(lambda y: isotonic_regression(y, return_info=True), xp.array(y))
    assert_allclose(xp.numpy(got), [[1, 2.5, 2.5, 4], [2.5] * 4])
    assert_array_equal(xp.numpy(info.blocks), [[0, 1, 1, 3], [0, 0, 0, 0]])
    assert_array_equal(xp.numpy(info.iterations), [0, 0])
    assert_array_equal(xp.numpy(info.residual), [0, 0])
    assert_array_equal(xp.numpy(info.converged), [True, True])


def test_info_moves_back_to_the_axis(xp, rng):
    y = rng.normal(size=(5, 2))
    _, info = xp.run(lambda y: isotonic_regression(y, axis=0, return_info=True), xp.array(y))
    _, turned = xp.run(lambda y: isotonic_regression(y, return_info=True), xp.array(y.T.copy()))
    assert info.residual.shape == (2,)
    assert_array_equal(xp.numpy(info.blocks), xp.numpy(turned.blocks).T)


def test_kl_pools_to_one_block_at_any_scale(xp):
    """One block for decreasing data: logsumexp(y) - log n, at offsets where exp overflows."""
    y = np.array([900.0, 3.0, -800.0])
    assert_allclose(fit(xp, y, loss="kl"), np.full(3, 900.0 - np.log(3)), rtol=1e-15)


def test_large_offsets_cost_nothing(xp, rng):
    y = rng.normal(size=(2, 50))
    shifted = np.float32(y) + np.float32(1e6)
    exact = np.stack([scipy_isotonic(row.astype(float)).x for row in shifted])
    got = xp.numpy(xp.run(lambda y: isotonic_regression(y), xp.array(shifted, dtype="float32")))
    assert_allclose(got, exact, rtol=2e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_stays_close(xp, rng, loss):
    y, w = rng.normal(size=(2, 40)), rng.uniform(0.2, 2, size=(2, 40))
    y, w = np.float32(y), np.float32(w)
    run = lambda y, w: isotonic_regression(y, weights=w, loss=loss, **LOSSES[loss])
    got = xp.run(run, xp.array(y, dtype="float32"), xp.array(w, dtype="float32"))
    expected = isotonic_regression(
        y.astype(float), weights=w.astype(float), loss=loss, **LOSSES[loss]
    )
    assert str(got.dtype).endswith("float32")
    assert_allclose(xp.numpy(got), expected, atol=3e-6)
