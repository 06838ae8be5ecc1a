"""The fused kernels of the CUDA sources, on the host: oracles, and differences for pullbacks."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from tests.kernels import cuda_oracles as oracle
from tests.kernels.cuda_shim import fused, fused_vjp, needs_compiler

pytestmark = needs_compiler

modes = pytest.mark.parametrize(
    "launch", [{"mode": "serial"}, {"mode": "threads", "block": 8}], ids=["serial", "threads"]
)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def check_pullback(rng, name, inputs, params, launch, atol=1e-6):
    """The pullback kernel agrees with central differences of the value kernel, row by row."""
    x = inputs[0]
    g = rng.normal(size=x.shape)
    outputs = fused(name, inputs, params, **launch)
    got = fused_vjp(name, g, inputs, params, outputs, **launch)
    for r in range(len(x)):
        rest = [other[r : r + 1] for other in inputs[1:]]

        def value(row, rest=rest):
            return fused(name, [row[None], *rest], params)[0][0]

        assert np.allclose(got[r], oracle.numerical_vjp(value, x[r], g[r]), atol=atol)


@modes
@dtypes
@pytest.mark.parametrize("q", [2.0, 4.0, 2.6])
def test_mask_value(rng, launch, dtype, q):
    x = rng.normal(size=(4, 21)).astype(dtype)
    y, threshold = fused("topk_mask", [x], (4.5, 0.7, q), **launch)
    want = [oracle.mask_at_k(row, 4.5, 0.7, q) for row in x]
    assert np.allclose(y, want, atol=1e-6 if dtype == np.float32 else 1e-12)
    assert y.dtype == threshold.dtype == dtype


@modes
@pytest.mark.parametrize("q", [2.0, 3.0, 4.0])
def test_mask_pullback(rng, launch, q):
    check_pullback(rng, "topk_mask", [rng.normal(size=(3, 9))], (3, 0.8, q), launch)


@modes
def test_mask_edges(launch):
    x = np.array([[1.0, np.inf, -np.inf, 0.9], [np.nan, 1.0, 0.0, 0.0], [3.0, 2.9, -1.0, -9.0]])
    for k in (0, 1, 2, 4):
        params = (k, 0.5, 2.0)
        outputs = fused("topk_mask", [x], params, **launch)
        y, g = outputs[0], np.arange(12.0).reshape(3, 4)
        gx = fused_vjp("topk_mask", g, [x], params, outputs, **launch)
        assert np.all(np.isnan(y[1]))
        assert np.all(np.isnan(gx[1]))
        assert np.allclose(y[0].sum(), min(k, 3))
        assert y[0, 2] == 0
        assert np.allclose(y[2].sum(), k)
        assert np.all(np.isfinite(gx[[0, 2]]))
        assert np.all(gx[0, 1:3] == 0)
    assert np.allclose(gx, np.where(np.isnan(gx), gx, 0), equal_nan=True)  # k = n: constant


def test_mask_pullback_survives_a_rounded_threshold(rng):
    """With a large offset the float32 threshold alone would move entries out of the free set."""
    x = (1000 + 0.01 * rng.normal(size=(1, 50))).astype(np.float32)
    params = (5, 0.02, 2.0)
    g = rng.normal(size=x.shape).astype(np.float32)
    got = fused_vjp("topk_mask", g, [x], params, fused("topk_mask", [x], params))
    exact = x.astype(np.float64)
    want = fused_vjp("topk_mask", g, [exact], params, fused("topk_mask", [exact], params))
    # The temperature itself is rounded to float32.
    assert np.allclose(got, want, rtol=1e-5, atol=1e-4)


@modes
@dtypes
@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3, 1.7])
@pytest.mark.parametrize("debias", [0, 1])
@pytest.mark.parametrize("k", [1, 4, 4.5, 30])
def test_magnitude_value(rng, launch, dtype, p, debias, k):
    x = rng.normal(size=(3, 21)).astype(dtype)
    y, theta = fused("topk_magnitude", [x], (k, 0.6, p, debias), **launch)
    exponent = float(dtype(p))
    for r in range(3):
        exact = 0.0 if k >= 21 else oracle.magnitude_theta(np.abs(x[r]), k, 0.6, exponent)
        want = oracle.magnitude(x[r], exact, 0.6, exponent, debias)
        assert np.allclose(y[r], want, atol=3e-6 if dtype == np.float32 else 1e-8)
    assert np.all((theta == 0) == (k >= 21))


@modes
@pytest.mark.parametrize("p", [2.0, 1.5, 4 / 3])
@pytest.mark.parametrize("debias", [0, 1])
@pytest.mark.parametrize("k", [2, 3.5, 9])
def test_magnitude_pullback(rng, launch, p, debias, k):
    x = rng.normal(size=(3, 9))
    check_pullback(rng, "topk_magnitude", [x], (k, 0.9, p, debias), launch, atol=2e-5)


@modes
def test_magnitude_edges(launch):
    x = np.array([[np.inf, -2.0, 0.0, 1.0], [np.nan, 1.0, 2.0, 3.0]])
    y = fused("topk_magnitude", [x], (1, 0.5, 2.0, 1), **launch)[0]
    assert np.array_equal(y, [[np.inf, 0, 0, 0], [np.nan] * 4], equal_nan=True)
    assert np.array_equal(fused("topk_magnitude", [x[:1]], (0, 0.5, 2.0, 1))[0], np.zeros((1, 4)))
    keeps = fused("topk_magnitude", [x[:1]], (3, 0.5, 1.5, 1), **launch)[0]
    assert np.array_equal(keeps, x[:1])


@modes
@dtypes
@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0, 3.0])
def test_entmax_value(rng, launch, dtype, alpha):
    x = rng.normal(size=(4, 13)).astype(dtype)
    y, _ = fused("entmax", [x], (alpha,), **launch)
    want = [oracle.exp_alpha(row - oracle.entmax_t(row, alpha), alpha) for row in x]
    # At the edge of the support the slope is infinite for alpha > 2: rounding shows by its root.
    assert np.allclose(y, want, atol=1e-6 if dtype == np.float32 else 1e-8)
    assert np.allclose(y.sum(-1), 1, atol=1e-6)


@modes
@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0])
def test_entmax_pullback(rng, launch, alpha):
    check_pullback(rng, "entmax", [rng.normal(size=(3, 8))], (alpha,), launch)


@modes
def test_entmax_edges(launch):
    x = np.array([[-np.inf, -np.inf], [-np.inf, 3.0], [np.nan, 0.0], [np.inf, 0.0]])
    outputs = fused("entmax", [x], (1.5,), **launch)
    nans = [np.nan, np.nan]
    assert np.array_equal(outputs[0], [[0, 0], [0, 1], nans, [1, 0]], equal_nan=True)
    for alpha in (1.5, 2.0):
        gx = fused_vjp("entmax", np.ones((4, 2)), [x], (alpha,), outputs, **launch)
        assert np.array_equal(gx[[0, 1, 3]], np.zeros((3, 2)))
        assert np.all(np.isnan(gx[2]))


@modes
@dtypes
@pytest.mark.parametrize("name", ["topk_mask", "entmax", "soft_rank"])
def test_infinities_are_those_of_the_cpu_kernels(launch, dtype, name):
    """More entries of +inf than k share it; infinite ranks are the mean places of their kind."""
    pytest.importorskip("numba")
    from fenchel_backends.kernels.cpu import entmax, mask, ranking

    module = {"topk_mask": mask, "entmax": entmax, "soft_rank": ranking}[name]
    inf = np.inf
    x = np.array(
        [
            [inf, inf, inf, 0.0, 1.0],
            [inf, -inf, inf, 0.5, -inf],
            [inf, 2.0, 1.9, -inf, 1.0],
            [inf, inf, inf, inf, inf],
            [-inf, 0.3, -inf, 0.1, 0.2],
        ],
        dtype,
    )
    params = {"topk_mask": [(k, 0.5, 2.0) for k in (1, 2, 2.5, 3)], "entmax": [(1.5,), (1.0,)]}
    orders = [np.argsort(x, axis=-1, kind="stable")] if name == "soft_rank" else []
    for row in params.get(name, [(0.5,), (0.0,)]):
        y, saved = outputs = fused(name, [x, *orders], row, **launch)
        wanted, kept, gx = np.empty_like(y), np.empty_like(saved), np.empty_like(x)
        packed, g = np.asarray([row], dtype), np.arange(25, dtype=dtype).reshape(5, 5)
        getattr(module, f"fused_{name}")(x, *orders, packed, wanted, kept)
        assert np.allclose(y, wanted, atol=1e-7)
        getattr(module, f"fused_{name}_vjp")(g, x, *orders, packed, wanted, kept, gx)
        found = fused_vjp(name, g, [x, *orders], row, outputs, **launch)
        assert np.allclose(found, gx, atol=1e-5)


def test_a_large_common_offset_costs_no_digits(rng):
    """Values and pullbacks of x + 2^30 are those of x: differences are formed before anything."""
    x = np.round(rng.normal(size=(3, 40)) * 2**20) / 2**20
    g = rng.normal(size=x.shape)
    for name, params in (("topk_mask", (4, 0.5, 4.0)), ("entmax", (1.5,)), ("entmax", (1.0,))):
        here, there = fused(name, [x], params), fused(name, [x + 2.0**30], params)
        assert np.allclose(there[0], here[0], rtol=0, atol=1e-14)
        pulled = fused_vjp(name, g, [x + 2.0**30], params, there)
        assert np.allclose(pulled, fused_vjp(name, g, [x], params, here), rtol=0, atol=1e-12)


@modes
@dtypes
@pytest.mark.parametrize("increasing", [1, 0])
@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_isotonic(rng, launch, dtype, increasing, n):
    y = rng.normal(size=(4, n)).astype(dtype)
    g = rng.normal(size=(4, n)).astype(dtype)
    fit, blocks = outputs = fused("isotonic", [y], (increasing,), **launch)
    want = [isotonic_regression(row.astype(float), increasing=bool(increasing)).x for row in y]
    assert np.allclose(fit, want, atol=1e-6 if dtype == np.float32 else 1e-12)
    assert oracle.well_formed(blocks)
    gx = fused_vjp("isotonic", g, [y], (increasing,), outputs, **launch)
    assert np.allclose(gx, oracle.block_mean(g, blocks), atol=1e-6)


def test_isotonic_nan_row():
    y = np.array([[2.0, np.nan, 0.0], [2.0, 1.0, 0.0]])
    fit, blocks = outputs = fused("isotonic", [y], (1,))
    assert np.array_equal(fit, [[np.nan] * 3, [1.0] * 3], equal_nan=True)
    assert np.array_equal(blocks, [[0, 1, 2], [0, 0, 0]])
    gx = fused_vjp("isotonic", np.array([[1.0, 2, 3]]), [y], (1,), outputs)
    assert np.array_equal(gx, [[np.nan] * 3, [2, 2, 2]], equal_nan=True)


def soft_rank(x, temperature):
    """z minus the decreasing fit of sorted z minus (n, ..., 1)."""
    z = x.astype(np.float64) / temperature
    order = np.argsort(-z, kind="stable")
    fit = isotonic_regression(z[order] - np.arange(x.size, 0, -1.0), increasing=False).x
    out = np.empty(x.size)
    out[order] = z[order] - fit
    return out


def soft_sort(x, temperature, descending):
    """Projection of (n, ..., 1) / temperature on the permutahedron of x."""
    if not descending:
        return -soft_sort(-x, temperature, True)
    z = np.arange(x.size, 0, -1.0) / temperature
    return z - isotonic_regression(z - np.sort(x.astype(np.float64))[::-1], increasing=False).x


@modes
@dtypes
@pytest.mark.parametrize("temperature", [1e-3, 0.3, 1.0, 100.0])
def test_soft_rank_value(rng, launch, dtype, temperature):
    x = rng.normal(size=(4, 12)).astype(dtype)
    order = np.argsort(x, axis=-1, kind="stable")
    rank, blocks = fused("soft_rank", [x, order], (temperature,), **launch)
    exact = float(dtype(temperature))
    want = [soft_rank(row, exact) for row in x]
    assert np.allclose(rank, want, atol=1e-5 if dtype == np.float32 else 1e-9)
    assert oracle.well_formed(blocks)


@modes
@dtypes
@pytest.mark.parametrize("descending", [0, 1])
@pytest.mark.parametrize("temperature", [1e-3, 0.3, 2.0, 100.0])
def test_soft_sort_value(rng, launch, dtype, temperature, descending):
    x = rng.normal(size=(4, 12)).astype(dtype)
    order = np.argsort(x, axis=-1, kind="stable")
    values, blocks = fused("soft_sort", [x, order], (temperature, descending), **launch)
    want = [soft_sort(row, float(dtype(temperature)), descending) for row in x]
    assert np.allclose(values, want, atol=1e-5 if dtype == np.float32 else 1e-9)
    assert oracle.well_formed(blocks)


@modes
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", ["soft_rank", "soft_sort", "soft_sort_descending"])
def test_soft_sort_and_rank_pullback(rng, launch, temperature, name):
    x = rng.normal(size=(3, 9))
    order = np.argsort(x, axis=-1)
    params = (temperature,) if name == "soft_rank" else (temperature, name.endswith("descending"))
    check_pullback(rng, name.removesuffix("_descending"), [x, order], params, launch, atol=1e-5)


@modes
def test_soft_sort_and_rank_edges(launch):
    x = np.array([[3.0, 1.0, 1.0, 2.0], [np.nan, 1.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0]])
    order = np.argsort(x, axis=-1, kind="stable")
    hard = fused("soft_rank", [x, order], (0.0,), **launch)[0]
    assert np.array_equal(hard[0], [4, 1, 2, 3])
    rank = fused("soft_rank", [x, order], (0.5,), **launch)
    assert np.allclose(rank[0], [[4, 1.5, 1.5, 3], [np.nan] * 4, [2.5] * 4], equal_nan=True)
    values = fused("soft_sort", [x, order], (0.0, 1), **launch)
    assert np.array_equal(values[0][[0, 2]], [[3, 2, 1, 1], [5, 5, 5, 5]])
    assert np.all(np.isnan(values[0][1]))
    infinite = np.array([[1.0, np.inf, 0.0, -np.inf]])
    order_there = np.argsort(infinite, axis=-1)
    ranks = fused("soft_rank", [infinite, order_there], (0.5,), **launch)[0]
    assert np.array_equal(ranks, [[3, 4, 2, 1]])
    assert np.all(np.isnan(fused("soft_sort", [infinite, order_there], (0.5, 0), **launch)[0]))
    for name, params, outputs in (("soft_rank", (0.5,), rank), ("soft_sort", (0.0, 1), values)):
        gx = fused_vjp(name, np.ones((3, 4)), [x, order], params, outputs, **launch)
        assert np.all(np.isnan(gx[1]))
        assert np.all(np.isfinite(gx[[0, 2]]))
