"""Fused rules: value from the thresholds and blocks, pullback by central differences."""

import numpy as np
import pytest
from scipy.stats import rankdata

from tests.kernels import cuda_oracles as oracles

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.numpy_kernels import fused_rule, numpy_fused, numpy_kernel  # noqa: E402
from fenchel_backends.kernels.table import FUSED  # noqa: E402

CASES = [
    ("topk_mask", (3, 0.8, 2.0)),
    ("topk_mask", (2.5, 0.8, 4.0)),
    ("topk_mask", (3, 0.8, 3.0)),
    ("topk_mask", (3, 5.0, 2.7)),
    ("topk_magnitude", (3, 0.8, 2.0, 0)),
    ("topk_magnitude", (2.5, 0.8, 4 / 3, 1)),
    ("topk_magnitude", (3, 0.8, 1.5, 0)),
    ("topk_magnitude", (3, 2.0, 1.7, 1)),
    ("entmax", (1.0,)),
    ("entmax", (1.5,)),
    ("entmax", (1.3,)),
    ("entmax", (2.0,)),
    ("isotonic", (1,)),
    ("isotonic", (0,)),
    ("soft_rank", (0.7,)),
    ("soft_sort", (0.7, 0)),
    ("soft_sort", (0.7, 1)),
]


def constants(name, x):
    return (np.argsort(x, axis=-1),) if "order" in FUSED[name].inputs else ()


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pullback_matches_differences(name, params, dtype, rng):
    x = rng.normal(size=(2, 3, 9)).astype(dtype)
    g = rng.normal(size=x.shape).astype(dtype)
    rule = fused_rule(name)
    fixed = constants(name, x)
    gx = rule.pullback(g, x, params, fixed, rule.forward(x, params, *fixed))
    assert gx.dtype == dtype

    def value(row):
        return rule.forward(row, params, *constants(name, row))[0]

    for i in np.ndindex(2, 3):
        row, cotangent = x[i].astype(np.float64), g[i].astype(np.float64)
        expected = oracles.numerical_vjp(value, row, cotangent)
        tolerance = 2e-5 if dtype == np.float32 else 1e-7
        np.testing.assert_allclose(gx[i], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("q", [2.0, 3.0, 4.0, 2.5])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mask_value(q, offset, rng):
    x = rng.normal(size=(5, 300)) + offset
    y, tau = fused_rule("topk_mask").forward(x, (17, 0.3, q))
    np.testing.assert_array_equal(tau, numpy_kernel("mask_threshold")(x, 17, 0.3, q))
    np.testing.assert_allclose(y.sum(-1), 17, rtol=1e-12)
    for row, values in zip(x, y, strict=True):
        np.testing.assert_allclose(values, oracles.mask_at_k(row, 17, 0.3, q), atol=1e-8)


@pytest.mark.parametrize("p", [2.0, 4 / 3, 1.5])
@pytest.mark.parametrize("debias", [0, 1])
def test_magnitude_value(p, debias, rng):
    x = rng.normal(size=(3, 40))
    y, _ = fused_rule("topk_magnitude").forward(x, (5, 0.4, p, debias))
    for row, values in zip(x, y, strict=True):
        theta = oracles.magnitude_theta(np.abs(row), 5, 0.4, p)
        expected = oracles.magnitude(row, theta, 0.4, p, debias)
        np.testing.assert_allclose(values, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_magnitude_keeps_everything_when_k_is_the_number_of_nonzeros(dtype):
    x = np.array([0.0, -2.0, 1.0, 0.0], dtype)
    rule = fused_rule("topk_magnitude")
    outputs = rule.forward(x, (2, 0.5, 2.0, 1))
    np.testing.assert_array_equal(outputs[0], x)
    g = np.ones(4, dtype)
    np.testing.assert_array_equal(rule.pullback(g, x, (2, 0.5, 2.0, 1), (), outputs), [0, 1, 1, 0])


@pytest.mark.parametrize("alpha", [1.0, 1.2, 1.5, 2.0, 4.0])
def test_entmax_value(alpha, rng):
    x = 3 * rng.normal(size=(4, 50))
    y, _ = fused_rule("entmax").forward(x, (alpha,))
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-12)
    for row, values in zip(x, y, strict=True):
        t = oracles.entmax_t(row, alpha)
        np.testing.assert_allclose(values, oracles.exp_alpha(row - t, alpha), atol=1e-12)


def projection(z, w, rng):
    """Projection of z on the permutahedron of w, by its fit in sorted order."""
    order = np.argsort(-z)
    s = z[order] - np.sort(w)[::-1]
    mean = lambda a, b: s[a : b + 1].mean()
    out = np.empty(z.size)
    out[order] = z[order] - oracles.min_max_fit(z.size, mean, increasing=False)
    return out


@pytest.mark.parametrize("temperature", [1e-3, 0.5, 10.0])
def test_soft_rank_and_sort_are_projections(temperature, rng):
    x, rho = rng.normal(size=12), np.arange(12, 0, -1.0)
    order = np.argsort(x)
    ranks = numpy_fused("soft_rank")(None, x, (temperature,), order)
    np.testing.assert_allclose(ranks, projection(x / temperature, rho, rng), atol=1e-9)
    falling = numpy_fused("soft_sort")(None, x, (temperature, 1), order)
    np.testing.assert_allclose(falling, projection(rho / temperature, x, rng), atol=1e-9)
    rising = numpy_fused("soft_sort")(None, x, (temperature, 0), order)
    np.testing.assert_allclose(rising, falling[::-1], atol=1e-12)


def test_soft_rank_and_sort_at_temperature_zero(rng):
    x = rng.normal(size=20)
    order = np.argsort(x)
    np.testing.assert_array_equal(numpy_fused("soft_rank")(None, x, (0.0,), order), rankdata(x))
    np.testing.assert_array_equal(numpy_fused("soft_sort")(None, x, (0.0, 0), order), np.sort(x))


@pytest.mark.parametrize(("name", "params"), CASES)
def test_a_row_with_nan_spoils_itself_only(name, params, rng):
    x = rng.normal(size=(3, 7))
    x[1, 2] = np.nan
    rule, fixed = fused_rule(name), constants(name, x)
    outputs = rule.forward(x, params, *fixed)
    gx = rule.pullback(np.ones_like(x), x, params, fixed, outputs)
    for value in (outputs[0], gx):
        np.testing.assert_array_equal(np.isnan(value).all(-1), [False, True, False])
        assert not np.isnan(value[[0, 2]]).any()


@pytest.mark.parametrize(("name", "params"), CASES)
@pytest.mark.parametrize("shape", [(0, 4), (1,), (2, 0, 3), (4, 1)])
def test_small_and_empty_batches(name, params, shape, rng):
    x = rng.normal(size=shape)
    rule, fixed = fused_rule(name), constants(name, x)
    outputs = rule.forward(x, params, *fixed)
    assert outputs[0].shape == shape
    assert rule.pullback(x, x, params, fixed, outputs).shape == shape


def test_masked_entries_get_no_share_and_no_gradient(rng):
    x = rng.normal(size=8)
    x[[1, 5]] = -np.inf
    for name, params in (("topk_mask", (3, 0.5, 4.0)), ("entmax", (1.5,))):
        rule = fused_rule(name)
        outputs = rule.forward(x, params)
        gx = rule.pullback(rng.normal(size=8), x, params, (), outputs)
        np.testing.assert_array_equal(outputs[0][[1, 5]], 0)
        np.testing.assert_array_equal(gx[[1, 5]], 0)
        assert np.isfinite(gx).all()
