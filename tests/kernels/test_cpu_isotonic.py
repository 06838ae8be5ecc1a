"""Isotonic blocks found by the numba kernels, against the min-max formula and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import isotonic_regression
from scipy.special import logsumexp

from tests.kernels import cuda_oracles as oracles

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.numpy_kernels import fused_rule, numpy_kernel  # noqa: E402

ROWS = arrays(np.float64, st.integers(1, 14), elements=st.floats(-4, 4, width=16))
WEIGHTS = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).uniform(0.1, 3, 14))
BOTH = pytest.mark.parametrize("increasing", [True, False])


def runs(blocks):
    return [np.flatnonzero(blocks == name) for name in np.unique(blocks)]


def fit_from(blocks, value):
    out = np.empty(blocks.shape)
    for run in runs(blocks):
        out[run] = value(run[0], run[-1])
    return out


@given(ROWS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_blocks_give_the_min_max_fit(y, increasing):
    blocks = numpy_kernel("isotonic_blocks")(y, increasing)
    mean = lambda a, b: y[a : b + 1].mean()
    assert oracles.well_formed(blocks)
    expected = oracles.min_max_fit(y.size, mean, increasing)
    np.testing.assert_allclose(fit_from(blocks, mean), expected, atol=1e-12)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [17, 100, 1000, 4001])
def test_fit_matches_scipy(n, dtype, increasing, rng):
    trend = np.linspace(0, 5, n)
    y = np.stack([rng.normal(size=n), rng.normal(size=n) + trend, rng.normal(size=n) - trend])
    y = np.concatenate([y, np.sort(y[:1]), -np.sort(-y[:1]), np.ones((1, n))]).astype(dtype)
    fit, blocks = fused_rule("isotonic").forward(y, (increasing,))
    assert oracles.well_formed(blocks)
    np.testing.assert_array_equal(blocks, numpy_kernel("isotonic_blocks")(y, increasing))
    for row, values in zip(y, fit, strict=True):
        expected = isotonic_regression(row, increasing=increasing).x
        tolerance = 1e-6 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(values, expected, rtol=tolerance, atol=tolerance)


def test_an_offset_costs_no_digits(rng):
    y = np.round(rng.normal(size=500) * 1024) / 1024
    rule = fused_rule("isotonic")
    np.testing.assert_allclose(
        rule.forward(y + 2.0**20, (1,))[0] - 2.0**20, rule.forward(y, (1,))[0], atol=2e-10
    )


@BOTH
def test_rows_with_nan_or_infinity(increasing):
    y = np.array([[1.0, np.nan, 0.0], [np.inf, 1.0, 0.0], [0.0, -np.inf, 2.0], [0, np.inf, -1]])
    blocks = numpy_kernel("isotonic_blocks")(y, increasing)
    np.testing.assert_array_equal(blocks[0], [0, 1, 2])
    assert oracles.well_formed(blocks)
    fit = fused_rule("isotonic").forward(y, (increasing,))[0]
    assert np.isnan(fit[0]).all()
    # a block with an infinity is infinite; the order of the fit holds
    gaps = fit[1:, 1:] >= fit[1:, :-1] if increasing else fit[1:, 1:] <= fit[1:, :-1]
    assert gaps.all()


@given(ROWS, WEIGHTS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_weighted_blocks_give_the_min_max_fit(y, weights, increasing):
    weights = weights[: y.size].copy()
    blocks = numpy_kernel("weighted_isotonic_blocks")(y, weights, increasing)
    mean = lambda a, b: np.average(y[a : b + 1], weights=weights[a : b + 1])
    assert oracles.well_formed(blocks)
    expected = oracles.min_max_fit(y.size, mean, increasing)
    np.testing.assert_allclose(fit_from(blocks, mean), expected, atol=1e-12)


@pytest.mark.parametrize("n", [5, 300])
def test_weighted_matches_scipy_on_long_rows(n, rng):
    y, weights = rng.normal(size=(3, n)), rng.uniform(0.1, 4, size=(3, n))
    blocks = numpy_kernel("weighted_isotonic_blocks")(y, weights, 1)
    for row, w, ids in zip(y, weights, blocks, strict=True):
        mean = lambda a, b, row=row, w=w: np.average(row[a : b + 1], weights=w[a : b + 1])
        expected = isotonic_regression(row, weights=w).x
        np.testing.assert_allclose(fit_from(ids, mean), expected, atol=1e-12)


def test_entries_of_no_weight_join_a_neighbour(rng):
    y = rng.normal(size=(20, 30))
    weights = rng.uniform(size=y.shape) * (rng.uniform(size=y.shape) < 0.5)
    weights[:, 0] = 0
    blocks = numpy_kernel("weighted_isotonic_blocks")(y, weights, 1)
    for row, w, ids in zip(y, weights, blocks, strict=True):
        assert all(w[run].sum() > 0 for run in runs(ids))
        mean = lambda a, b, row=row, w=w: np.average(row[a : b + 1], weights=w[a : b + 1])
        fit = fit_from(ids, mean)
        kept = w > 0
        expected = isotonic_regression(row[kept], weights=w[kept]).x
        np.testing.assert_allclose(fit[kept], expected, atol=1e-12)
    assert (numpy_kernel("weighted_isotonic_blocks")(y[0], 0 * y[0], 1) == 0).all()


@given(ROWS, WEIGHTS, st.booleans(), st.sampled_from([1.0, 50.0, 400.0]))
@settings(max_examples=150, deadline=None)
def test_entropic_blocks_give_the_min_max_fit(y, weights, increasing, spread):
    y, w = spread * y, spread * weights[: y.size]
    blocks = numpy_kernel("kl_isotonic_blocks")(y, w, increasing)
    value = lambda a, b: logsumexp(y[a : b + 1]) - logsumexp(w[a : b + 1])
    assert oracles.well_formed(blocks)
    expected = oracles.min_max_fit(y.size, value, increasing)
    np.testing.assert_allclose(fit_from(blocks, value), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("p", [1.2, 4 / 3, 1.5, 2.0, 3.0, 4.0])
@BOTH
def test_pnorm_gives_the_min_max_fit(p, increasing, rng):
    y, weights = rng.normal(size=(4, 9)), rng.uniform(0.2, 3, size=(4, 9))
    blocks, fit = numpy_kernel("pnorm_isotonic_blocks")(y, weights, p, increasing)
    for row, w, ids, values in zip(y, weights, blocks, fit, strict=True):
        value = lambda a, b, row=row, w=w: oracles.pnorm_value(row[a : b + 1], w[a : b + 1], p)
        assert oracles.well_formed(ids)
        expected = oracles.min_max_fit(9, value, increasing)
        np.testing.assert_allclose(values, expected, atol=1e-9)
        np.testing.assert_allclose(fit_from(ids, value), expected, atol=1e-9)


def test_pnorm_of_two_is_the_weighted_fit_on_long_rows(rng):
    y, weights = rng.normal(size=(2, 2000)), rng.uniform(0.2, 3, size=(2, 2000))
    fit = numpy_kernel("pnorm_isotonic_blocks")(y, weights, 2.0, 1)[1]
    for row, w, values in zip(y, weights, fit, strict=True):
        np.testing.assert_allclose(values, isotonic_regression(row, weights=w).x, atol=1e-10)


def test_pnorm_with_entries_of_no_weight(rng):
    y = rng.normal(size=40)
    weights = rng.uniform(0.5, 2, 40) * (rng.uniform(size=40) < 0.6)
    fit = numpy_kernel("pnorm_isotonic_blocks")(y, weights, 3.0, 1)[1]
    kept = weights > 0
    expected = numpy_kernel("pnorm_isotonic_blocks")(y[kept], weights[kept], 3.0, 1)[1]
    np.testing.assert_allclose(fit[kept], expected, atol=1e-9)
    assert (np.diff(fit) >= 0).all()


@BOTH
def test_dykstra_converges_to_the_fit(increasing, rng):
    y, weights = rng.normal(size=(4, 12)), rng.uniform(0.5, 2, size=(4, 12))
    blocks, fit, iterations, residual = numpy_kernel("dykstra")(
        y, weights, 20_000, 1e-12, increasing
    )
    assert residual.max() < 1e-12
    assert iterations.max() < 20_000
    np.testing.assert_array_equal(
        blocks, numpy_kernel("weighted_isotonic_blocks")(y, weights, increasing)
    )
    for row, w, values in zip(y, weights, fit, strict=True):
        expected = isotonic_regression(row, weights=w, increasing=increasing).x
        np.testing.assert_allclose(values, expected, atol=1e-9)


def test_dykstra_stops_at_its_bound_and_says_so(rng):
    y = -np.sort(rng.normal(size=(1, 200)))
    weights = np.ones_like(y)
    _, _, iterations, residual = numpy_kernel("dykstra")(y, weights, 5, 1e-12, 1)
    assert iterations[0, 0] == 5
    assert residual[0, 0] > 1e-3
    _, _, iterations, residual = numpy_kernel("dykstra")(np.sort(y), weights, 5, 1e-12, 1)
    assert (iterations[0, 0], residual[0, 0]) == (0, 0)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("weighted_isotonic_blocks", (1,)),
        ("kl_isotonic_blocks", (1,)),
        ("pnorm_isotonic_blocks", (1.5, 1)),
        ("dykstra", (10, 1e-6, 1)),
    ],
)
def test_a_row_with_nan_is_single_entries(name, params):
    y, weights = np.array([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]]), np.ones((2, 3))
    y[0, 1], weights[1, 2] = np.nan, np.nan
    out = numpy_kernel(name)(y, weights, *params)
    blocks, floats = (out, ()) if isinstance(out, np.ndarray) else (out[0], out[1:])
    np.testing.assert_array_equal(blocks, [[0, 1, 2], [0, 1, 2]])
    for value in floats:
        if value.dtype == y.dtype:
            assert np.isnan(value).all()
