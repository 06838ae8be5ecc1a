"""The threshold kernels of the CUDA sources, on the host, against plain halving."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.kernels import cuda_oracles as oracle
from tests.kernels.cuda_shim import kernel, needs_compiler

pytestmark = needs_compiler

INF = np.inf
numbers = st.floats(-50, 50, width=32)
rows = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, n, elements=numbers))
modes = pytest.mark.parametrize(
    "launch", [{"mode": "serial"}, {"mode": "threads", "block": 8}], ids=["serial", "threads"]
)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def tolerance(dtype):
    return {"rtol": 2e-6, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


@modes
@dtypes
@pytest.mark.parametrize("q", [2.0, 3.0, 4.0, 2.7])
@pytest.mark.parametrize(("k", "width"), [(1, 0.5), (3, 0.1), (3.5, 1.0), (12, 4.0), (19.9, 0.3)])
def test_mask_sums_to_k(rng, launch, dtype, q, k, width):
    x = rng.normal(size=(3, 20)).astype(dtype)
    tau = kernel("mask_threshold", [x], (k, width, q), **launch)
    got = np.stack([oracle.mask(x[r], float(tau[r]), width, q) for r in range(3)])
    want = np.stack([oracle.mask_at_k(x[r], k, width, q) for r in range(3)])
    slack = 20 * np.spacing(np.abs(tau).max()) / width if dtype == np.float32 else 1e-10
    assert np.allclose(got, want, rtol=0, atol=max(slack, 1e-10) * (q - 1))


@given(x=rows, share=st.floats(0.01, 0.99), width=st.floats(0.01, 20), q=st.sampled_from([2, 3, 4]))
def test_mask_of_any_row(x, share, width, q):
    k = share * x.size
    tau = float(kernel("mask_threshold", [x], (k, width, q))[0])
    assert np.isclose(oracle.mask(x, tau, width, q).sum(), k, rtol=1e-7, atol=1e-7)


@given(x=rows, width=st.floats(0.01, 20), q=st.sampled_from([2, 3, 4]), data=st.data())
def test_mask_is_hard_exactly_when_the_gap_allows(x, width, q, data):
    k = data.draw(st.integers(1, x.size))
    tau = float(kernel("mask_threshold", [x], (k, width, q))[0])
    y, s = oracle.mask(x, tau, width, q), np.sort(x)[::-1]
    if k == x.size or s[k - 1] - s[k] > width * (1 + 1e-9):
        assert np.allclose(np.sort(y)[::-1], np.arange(x.size) < k, rtol=0, atol=1e-11)
    elif s[k - 1] - s[k] < width * (1 - 1e-4):
        assert np.any((y > 0) & (y < 1))


def test_threshold_in_a_wide_gap_is_its_middle():
    x = np.array([[5.0, 0.0, -1.0, 9.0]])
    assert kernel("mask_threshold", [x], (2, 1.0, 2.0))[0] == 2.0  # between 0 and 5 - 1


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("width", [1e-4, 1.0])
def test_mask_of_heavy_tails(rng, scale, width):
    x = scale * rng.standard_cauchy(size=(4, 500))
    tau = kernel("mask_threshold", [x], (25, width, 4.0))
    sums = [oracle.mask(x[r], tau[r], width, 4.0).sum() for r in range(4)]
    assert np.allclose(sums, 25, rtol=1e-6)


@modes
def test_mask_edges(launch):
    x = np.array(
        [
            [1.0, 2.0, -INF, 4.0],
            [1.0, INF, 2.0, INF],
            [INF, INF, INF, -INF],
            [-INF] * 4,
            [1.0, np.nan, 2.0, 3.0],
        ]
    )
    at = lambda k: kernel("mask_threshold", [x], (k, 0.5, 2.0), **launch)
    assert np.array_equal(at(0), [INF, INF, INF, INF, np.nan], equal_nan=True)
    assert np.array_equal(at(4), [0.5, 0.5, 0, 0, np.nan], equal_nan=True)
    assert at(3)[0] == 0.5
    assert at(2)[1] == 2.0  # the two +inf saturate, the rest is off
    assert 1.0 < at(3)[1] <= 1.5
    assert at(1)[1] == 2.0


@modes
def test_parameters_of_each_row(launch, rng):
    x = rng.normal(size=(7, 9))
    params = np.stack([rng.uniform(0.5, 8, 7), rng.uniform(0.1, 2, 7), np.full(7, 2.0)], axis=1)
    tau = kernel("mask_threshold", [x], params, **launch)
    sums = [oracle.mask(x[r], tau[r], params[r, 1], 2.0).sum() for r in range(7)]
    assert np.allclose(sums, params[:, 0])


@modes
@dtypes
@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3, 1.7])
@pytest.mark.parametrize(("k", "width"), [(1, 0.5), (3, 0.1), (3.5, 1.0), (12, 4.0)])
def test_magnitude_threshold(rng, launch, dtype, p, k, width):
    s = np.abs(rng.normal(size=(3, 20))).astype(dtype)
    theta = kernel("magnitude_threshold", [s], (k, width, p), **launch)
    sums = [oracle.magnitude_share(s[r], float(theta[r]), width, p).sum() for r in range(3)]
    assert np.allclose(sums, k, rtol=1e-4 if dtype == np.float32 else 1e-9)


@given(x=rows, share=st.floats(0.05, 0.95), width=st.floats(0.01, 5), p=st.sampled_from([2, 1.5]))
def test_magnitude_of_any_row(x, share, width, p):
    s = np.abs(x)
    k = share * s.size
    theta = float(kernel("magnitude_threshold", [s], (k, width, p))[0])
    if k >= np.count_nonzero(s):
        assert theta == 0
    else:
        assert np.isclose(oracle.magnitude_share(s, theta, width, p).sum(), k, rtol=1e-6)


@modes
def test_magnitude_edges(launch):
    s = np.array([[3.0, 0.0, 1.0, 1e-12], [INF, 2.0, 0.0, 1.0], [np.nan, 1.0, 2.0, 3.0]])
    at = lambda k: kernel("magnitude_threshold", [s], (k, 0.5, 2.0), **launch)
    assert np.array_equal(at(0), [INF, INF, np.nan], equal_nan=True)
    assert np.array_equal(at(3), [0, 0, np.nan], equal_nan=True)
    assert np.array_equal(at(1)[:2], [1.0, 2.0])  # hard: the largest entry that is off
    assert at(2)[0] == 1e-12


@modes
@dtypes
@pytest.mark.parametrize("alpha", [1.0, 1.0001, 1.3, 1.5, 2.0, 3.0, 10.0])
def test_entmax_threshold(rng, launch, dtype, alpha):
    x = 2 * rng.normal(size=(3, 17)).astype(dtype)
    got = kernel("entmax_threshold", [x], (alpha,), **launch)
    want = [oracle.entmax_t(x[r], float(dtype(alpha))) for r in range(3)]
    assert np.allclose(got, want, **tolerance(dtype))


@given(x=rows, alpha=st.floats(1.01, 4))
def test_entmax_sums_to_one(x, alpha):
    t = kernel("entmax_threshold", [x], (alpha,))[0]
    assert np.isclose(oracle.exp_alpha(x - t, alpha).sum(), 1, atol=1e-6)


@modes
@pytest.mark.parametrize("name", ["entmax_threshold", "normmax_threshold"])
def test_simplex_edges(launch, name):
    x = np.array([[-INF, -INF], [np.nan, 0.0], [-INF, 3.0], [2.0, 2.0], [INF, 0.0]])
    t = kernel(name, [x], (2.0,), **launch)
    assert t[0] == INF
    assert t[4] == -INF
    assert np.isnan(t[1])
    assert t[2] == (3.0 if name == "entmax_threshold" else 2.0)
    one = {"entmax_threshold": 2.5, "normmax_threshold": 2 - 0.5**0.5}[name]
    assert np.isclose(t[3], one, rtol=1e-14)
    assert np.all(np.isnan(kernel(name, [x], (0.5,), **launch)))


@modes
@dtypes
@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0, 5.0])
def test_normmax_threshold(rng, launch, dtype, alpha):
    x = rng.normal(size=(3, 17)).astype(dtype)
    got = kernel("normmax_threshold", [x], (alpha,), **launch)
    want = [oracle.normmax_tau(x[r], float(dtype(alpha))) for r in range(3)]
    assert np.allclose(got, want, **tolerance(dtype))


def test_normmax_limits():
    x = np.array([[0.3, 1.0, 0.9, -2.0]])
    assert kernel("normmax_threshold", [x], (1.0,))[0] == 0.0
    sparsemax = kernel("normmax_threshold", [x], (INF,))[0]
    assert np.isclose(np.maximum(x - sparsemax, 0).sum(), 1, rtol=1e-14)


@modes
@pytest.mark.parametrize("q", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize(("k", "width"), [(1, 0.5), (4, 0.2), (5, 1.0), (5.4, 0.3), (11, 3.0)])
def test_pooling_finds_the_same_threshold(rng, launch, q, magnitude, k, width):
    x = rng.normal(size=(4, 24))
    s = np.sort(np.abs(x) if magnitude else x)[:, ::-1].copy()
    got, merges = kernel("topk_pav_threshold", [s], (k, width, q, magnitude), **launch)
    name, exponent = ("magnitude_threshold", q / (q - 1)) if magnitude else ("mask_threshold", q)
    want = kernel(name, [s], (k, width, exponent), **launch)
    # Where an entry touches the edge of the support, thresholds differ by the root of the rounding.
    y = oracle.magnitude_share if magnitude else oracle.mask
    for row, a, b in zip(s, got, want, strict=True):
        assert np.allclose(y(row, a, width, exponent), y(row, b, width, exponent), atol=1e-10)
    assert np.all((merges >= 0) & (merges < 24))


@given(x=rows, share=st.floats(0.01, 0.99), width=st.floats(0.01, 9), magnitude=st.booleans())
def test_pooling_of_any_row(x, share, width, magnitude):
    s = np.sort(np.abs(x) if magnitude else x)[::-1].copy()
    k = share * s.size
    t = float(kernel("topk_pav_threshold", [s], (k, width, 3, magnitude))[0][0])
    if not magnitude:
        assert np.isclose(oracle.mask(s, t, width, 3).sum(), k, atol=1e-6)
    elif k >= np.count_nonzero(s):
        assert t == 0
    else:
        assert np.isclose(oracle.magnitude_share(s, t, width, 1.5).sum(), k, rtol=1e-6)


@modes
def test_pooling_edges(launch):
    s = np.array([[4.0, 2.0, 1.0, -INF], [INF, INF, 2.0, 1.0], [3.0, 2.0, np.nan, 0.0]])
    at = lambda k: kernel("topk_pav_threshold", [s], (k, 0.5, 2.0, 0), **launch)
    assert np.array_equal(at(0)[0], [INF, INF, np.nan], equal_nan=True)
    assert np.array_equal(at(3)[0][:1], [0.5])
    assert np.array_equal(at(2)[0][1:], [2.0, np.nan], equal_nan=True)
    threshold, merges = at(1)
    assert (threshold[0], merges[0]) == (2.75, 0)  # between 2 and 4 - 0.5


@pytest.mark.parametrize("name", ["mask_threshold", "magnitude_threshold"])
def test_zero_temperature_ends(name):
    x = np.array([[3.0, 1.0, 1.0, 0.5]])
    assert np.isfinite(kernel(name, [x], (2, 0.0, 2.0))[0])
    assert 1.0 <= kernel(name, [x], (1, 0.0, 2.0))[0] < 3.0
