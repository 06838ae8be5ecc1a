"""Thresholds found by the numba kernels, against halving alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.kernels import cuda_oracles as oracles

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.numpy_kernels import numpy_kernel  # noqa: E402

EXPONENTS = [2.0, 3.0, 4.0, 2.5, 11.0]


def total(x, tau, width, q):
    return oracles.mask(x, tau, width, q).sum()


def rows(kind, rng, shape=(6, 200)):
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "cauchy":
        return rng.standard_cauchy(shape)
    if kind == "offset":
        return rng.normal(size=shape) + 1e6
    if kind == "ties":
        return np.round(rng.normal(size=shape))
    return np.full(shape, 0.7)


@pytest.mark.parametrize("q", EXPONENTS)
@pytest.mark.parametrize("width", [1e-4, 0.3, 20.0])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "offset", "ties", "constant"])
def test_mask_sums_to_k(kind, width, q, rng):
    x = rows(kind, rng)
    for k in (1, 10, 37.3, 199):
        tau = numpy_kernel("mask_threshold")(x, k, width, q)
        # what the rounding of tau itself does to the sum
        slack = 2 * x.shape[1] * (q - 1) / width * np.spacing(np.abs(tau))
        for row, t, s in zip(x, tau[:, 0], slack[:, 0], strict=True):
            assert abs(total(row, t, width, q) - k) <= 1e-12 * k + s


def test_mask_of_long_heavy_tailed_rows(rng):
    x = rng.standard_cauchy((3, 20_000))
    tau = numpy_kernel("mask_threshold")(x, 1000, 1e-4, 4.0)
    for row, t in zip(x, tau[:, 0], strict=True):
        assert abs(total(row, t, 1e-4, 4.0) - 1000) <= 1e-6


@given(
    arrays(np.float64, st.integers(1, 12), elements=st.integers(-8, 8).map(lambda i: i / 4)),
    st.floats(0.05, 0.95),
    st.sampled_from([0.25, 0.5, 3.0]),
    st.sampled_from(EXPONENTS),
)
@settings(max_examples=150, deadline=None)
def test_mask_matches_halving(x, share, width, q):
    k = share * x.size
    tau = numpy_kernel("mask_threshold")(x, k, width, q)[0]
    np.testing.assert_allclose(
        oracles.mask(x, tau, width, q), oracles.mask_at_k(x, k, width, q), atol=1e-9
    )


def test_mask_is_hard_in_the_middle_of_a_wide_gap():
    x = np.array([3.0, -1.0, 2.0, 0.5])
    tau = numpy_kernel("mask_threshold")(x, 2, 1.0, 4.0)
    np.testing.assert_allclose(tau, [0.5 * (2.0 - 1.0 + 0.5)])


def test_mask_is_exactly_hard_at_a_gap_equal_to_the_temperature():
    x = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    tau = numpy_kernel("mask_threshold")(x, 2, 1.0, 2.0)
    np.testing.assert_array_equal(oracles.mask(x, tau, 1.0, 2.0), [1, 1, 0, 0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mask_edge_cases(dtype):
    kernel = numpy_kernel("mask_threshold")
    x = np.array([1.0, 5.0, -np.inf, 2.0, 3.0], dtype)
    assert kernel(x, 0, 0.5, 2.0)[0] == np.inf
    assert kernel(x, -1.0, 0.5, 2.0)[0] == np.inf
    assert kernel(x, 4, 0.5, 2.0)[0] <= 0.5
    assert kernel(x, 5, 0.5, 2.0)[0] <= 0.5
    assert np.isnan(kernel(np.array([1.0, np.nan, 2.0], dtype), 1, 0.5, 2.0)[0])
    assert np.isnan(kernel(x, np.nan, 0.5, 2.0)[0])
    assert kernel(np.array([4.0], dtype), 1, 0.5, 2.0)[0] <= 3.5
    tau = kernel(np.array([np.inf, 1.0, 1.0, 0.0], dtype), 2, 0.5, 2.0)[0]
    np.testing.assert_allclose(oracles.mask(np.array([1.0, 1.0]), tau, 0.5, 2.0), 0.5, rtol=1e-6)
    assert kernel(np.array([np.inf, 1.0], dtype), 1, 0.5, 2.0)[0] >= 1.0


def test_mask_at_temperature_zero_is_hard(rng):
    x = rng.normal(size=(5, 30))
    tau = numpy_kernel("mask_threshold")(x, 7, 0.0, 2.0)
    np.testing.assert_array_equal((x > tau).sum(-1), 7)


@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3, 1.1])
@pytest.mark.parametrize("width", [1e-3, 0.3, 20.0])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties"])
def test_magnitude_shares_sum_to_k(kind, width, p, rng):
    s = np.abs(rows(kind, rng)) + 1e-3
    for k in (1, 10, 37.3):
        theta = numpy_kernel("magnitude_threshold")(s, k, width, p)
        for row, t in zip(s, theta[:, 0], strict=True):
            q = p / (p - 1)
            slack = 4 * row.size * (q / width + 1 / t) * np.spacing(t) / min(1, t)
            assert abs(oracles.magnitude_share(row, t, width, p).sum() - k) <= 1e-11 * k + slack


@given(
    arrays(np.float64, st.integers(2, 10), elements=st.integers(1, 16).map(lambda i: i / 4)),
    st.floats(0.05, 0.95),
    st.sampled_from([0.25, 0.5, 3.0]),
    st.sampled_from([2.0, 1.5, 4 / 3]),
)
@settings(max_examples=100, deadline=None)
def test_magnitude_matches_halving(s, share, width, p):
    k = share * s.size
    k = int(k) if k.is_integer() else k
    theta = numpy_kernel("magnitude_threshold")(s, k, width, p)[0]
    expected = oracles.magnitude(s, oracles.magnitude_theta(s, k, width, p), width, p, True)
    np.testing.assert_allclose(oracles.magnitude(s, theta, width, p, True), expected, atol=1e-8)


def test_magnitude_edge_cases():
    kernel = numpy_kernel("magnitude_threshold")
    s = np.array([0.0, 2.0, 1.0, 0.0])
    assert kernel(s, 0, 0.5, 2.0)[0] == np.inf
    assert kernel(s, 2, 0.5, 2.0)[0] == 0
    assert kernel(s, 3, 0.5, 2.0)[0] == 0
    assert kernel(np.zeros(3), 1, 0.5, 2.0)[0] == 0
    assert np.isnan(kernel(np.array([1.0, np.nan]), 1, 0.5, 2.0)[0])
    hard = kernel(np.array([3.0, 1.0, 0.5]), 1, 1.0, 2.0)[0]
    assert 1.0 <= hard <= 1.5


@pytest.mark.parametrize("alpha", [1.0, 1.01, 1.25, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_entmax_matches_halving(alpha, spread, rng):
    x = spread * rng.normal(size=(4, 60))
    t = numpy_kernel("entmax_threshold")(x, alpha)
    expected = [oracles.entmax_t(row, alpha) for row in x]
    np.testing.assert_allclose(t[:, 0], expected, rtol=1e-12, atol=1e-12)


def test_entmax_matches_the_entmax_package(rng):
    entmax = pytest.importorskip("entmax")
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(8, 50)) * 2
    for alpha, peer in ((1.5, entmax.entmax15), (2.0, entmax.sparsemax)):
        t = numpy_kernel("entmax_threshold")(x, alpha)
        np.testing.assert_allclose(
            oracles.exp_alpha(x - t, alpha), peer(torch.from_numpy(x)).numpy(), atol=1e-13
        )


def test_entmax_edge_cases():
    kernel = numpy_kernel("entmax_threshold")
    assert kernel(np.full(3, -np.inf), 1.5)[0] == np.inf
    assert np.isnan(kernel(np.array([np.nan, 1.0]), 1.5)[0])
    masked = kernel(np.array([1.0, -np.inf, 0.5]), 2.0)
    np.testing.assert_allclose(masked, kernel(np.array([1.0, 0.5]), 2.0))
    np.testing.assert_allclose(kernel(np.array([7.0]), 1.5), [7.0])


@pytest.mark.parametrize("alpha", [1.2, 1.5, 2.0, 5.0])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_normmax_matches_halving(alpha, spread, rng):
    x = spread * rng.normal(size=(4, 60))
    tau = numpy_kernel("normmax_threshold")(x, alpha)
    expected = [oracles.normmax_tau(row, alpha) for row in x]
    np.testing.assert_allclose(tau[:, 0], expected, rtol=1e-12, atol=1e-12)


def test_normmax_of_infinite_alpha_is_the_sparsemax_threshold(rng):
    x = rng.normal(size=(4, 20))
    tau = numpy_kernel("normmax_threshold")(x, np.inf)
    np.testing.assert_allclose(np.maximum(x - tau, 0).sum(-1), 1)


@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("q", [2.0, 3.0, 4.0, 2.5])
@pytest.mark.parametrize("width", [0.05, 0.5, 5.0])
def test_pooling_gives_the_same_threshold(magnitude, q, width, rng):
    x = rng.normal(size=(10, 40))
    x = np.abs(x) if magnitude else x
    s = -np.sort(-x, axis=-1)
    for k in (1, 7, 12.4, 38):
        t, merges = numpy_kernel("topk_pav_threshold")(s, k, width, q, magnitude)
        if magnitude:
            expected = numpy_kernel("magnitude_threshold")(s, k, width, q / (q - 1))
            share = lambda row, t: oracles.magnitude_share(row, t, width, q / (q - 1))
        else:
            expected = numpy_kernel("mask_threshold")(s, k, width, q)
            share = lambda row, t: oracles.mask(row, t, width, q)
        for row, a, b in zip(s, t[:, 0], expected[:, 0], strict=True):
            np.testing.assert_allclose(share(row, a), share(row, b), atol=1e-9)
        assert merges.min() >= 0
        assert merges.max() < 40


def test_pooling_edge_cases():
    kernel = numpy_kernel("topk_pav_threshold")
    s = np.array([np.inf, 3.0, 1.0, -np.inf])
    assert kernel(s, 0, 0.5, 2.0, 0)[0][0] == np.inf
    assert kernel(s, 3, 0.5, 2.0, 0)[0][0] <= 0.5
    assert kernel(s, 2, 0.5, 2.0, 0)[1][0] == 0
    assert np.isnan(kernel(np.array([np.nan, 1.0]), 1, 0.5, 2.0, 0)[0][0])
    assert kernel(np.array([2.0, 0.0]), 1, 0.5, 2.0, 1)[0][0] == 0
