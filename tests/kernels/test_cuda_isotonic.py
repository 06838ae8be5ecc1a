"""The isotonic kernels of the CUDA sources, on the host, against min-max formulas and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import isotonic_regression
from scipy.special import logsumexp

from tests.kernels import cuda_oracles as oracle
from tests.kernels.cuda_shim import kernel, needs_compiler

pytestmark = needs_compiler

INF = np.inf
modes = pytest.mark.parametrize(
    "launch",
    [
        {"mode": "serial"},
        {"mode": "serial", "in_memory": True},
        {"mode": "threads", "block": 4},
        {"mode": "threads", "block": 16, "in_memory": True},
    ],
    ids=["serial", "serial-memory", "one-warp", "four-warps"],
)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
directions = pytest.mark.parametrize("increasing", [1, 0])
rows = st.integers(1, 20).flatmap(
    lambda n: arrays(np.float64, n, elements=st.integers(-9, 9).map(float))
)
positive = st.floats(0.1, 10)


def shapes(rng, n):
    """Rows that stress pooling: noise, trends both ways, a sawtooth, one outlier, constants."""
    t = np.arange(n, dtype=float)
    return np.stack(
        [
            rng.normal(size=n),
            t + rng.normal(size=n),
            -t,
            t % 7 - 0.01 * t,
            np.where(t == 0, 1e6, t),
            np.ones(n),
        ]
    )


@modes
@dtypes
@directions
@pytest.mark.parametrize("n", [1, 2, 3, 8, 33, 100])
def test_squared_fit_is_that_of_scipy(rng, launch, dtype, increasing, n):
    y = shapes(rng, n).astype(dtype)
    blocks = kernel("isotonic_blocks", [y], (increasing,), **launch)
    assert oracle.well_formed(blocks)
    want = [isotonic_regression(row.astype(float), increasing=bool(increasing)).x for row in y]
    assert np.allclose(oracle.block_mean(y, blocks), want, rtol=1e-10, atol=1e-10)


@given(y=rows, increasing=st.booleans())
def test_squared_fit_by_the_min_max_formula(y, increasing):
    blocks = kernel("isotonic_blocks", [y], (increasing,))
    want = oracle.min_max_fit(y.size, lambda a, b: y[a : b + 1].mean(), increasing)
    assert oracle.well_formed(blocks)
    assert np.allclose(oracle.block_mean(y[None], blocks)[0], want)


@given(y=rows)
def test_ties_stay_apart(y):
    """A boundary is kept exactly where the sums of the row touch their lower hull."""
    blocks = kernel("isotonic_blocks", [y], (1,))[0]
    total = np.concatenate([[0], np.cumsum(y)]).astype(int)
    n = y.size
    for i in range(1, n):
        chords = ((a, b) for a in range(i) for b in range(i + 1, n + 1))
        above = any(
            (total[i] - total[a]) * (b - a) > (total[b] - total[a]) * (i - a) for a, b in chords
        )
        assert (blocks[i] != i) == above


@modes
@directions
def test_many_more_entries_than_threads(rng, launch, increasing):
    y = np.cumsum(rng.normal(size=(2, 3000)), axis=1)
    blocks = kernel("isotonic_blocks", [y], (increasing,), **launch)
    want = [isotonic_regression(row, increasing=bool(increasing)).x for row in y]
    assert np.allclose(oracle.block_mean(y, blocks), want, rtol=1e-9, atol=1e-9)


@modes
def test_nan_rows_and_infinities(launch):
    y = np.array([[3.0, np.nan, 1.0], [2.0, 1.0, 0.0], [INF, 0.0, -INF], [-INF, 0.0, INF]])
    blocks = kernel("isotonic_blocks", [y], (1,), **launch)
    assert np.array_equal(blocks[[0, 1, 3]], [[0, 1, 2], [0, 0, 0], [0, 1, 2]])
    assert oracle.well_formed(blocks)
    nan_weights = kernel("weighted_isotonic_blocks", [y[1:2], y[:1]], (1,), **launch)
    assert np.array_equal(nan_weights, [[0, 1, 2]])
    assert np.array_equal(kernel("kl_isotonic_blocks", [y[1:2], y[:1]], (1,)), [[0, 1, 2]])


def test_no_rows_at_all():
    assert kernel("isotonic_blocks", [np.empty((0, 5))], (1,)).shape == (0, 5)


@modes
@dtypes
@directions
@pytest.mark.parametrize("n", [1, 5, 40])
def test_weighted_fit_is_that_of_scipy(rng, launch, dtype, increasing, n):
    y = shapes(rng, n).astype(dtype)
    weights = rng.uniform(0.1, 3, y.shape).astype(dtype)
    blocks = kernel("weighted_isotonic_blocks", [y, weights], (increasing,), **launch)
    assert oracle.well_formed(blocks)
    for r in range(len(y)):
        row, weight = y[r].astype(float), weights[r].astype(float)
        want = isotonic_regression(row, weights=weight, increasing=bool(increasing)).x
        means = [np.average(row[blocks[r] == b], weights=weight[blocks[r] == b]) for b in blocks[r]]
        assert np.allclose(means, want, rtol=1e-9, atol=1e-9)


@given(data=st.data(), y=rows, increasing=st.booleans())
def test_entries_without_weight_join_a_neighbour(data, y, increasing):
    weights = data.draw(arrays(np.float64, y.size, elements=st.sampled_from([0.0, 1.0, 2.0])))
    blocks = kernel("weighted_isotonic_blocks", [y, weights], (increasing,))[0]
    assert oracle.well_formed(blocks)
    if not weights.any():
        assert np.all(blocks == 0)
        return
    assert all(weights[blocks == b].sum() > 0 for b in blocks)
    fit = np.array([np.average(y[blocks == b], weights=weights[blocks == b]) for b in blocks])
    assert np.all(np.diff(fit) * (1 if increasing else -1) >= -1e-12)
    kept = weights > 0
    direct = isotonic_regression(y[kept], weights=weights[kept], increasing=increasing).x
    assert np.allclose(fit[kept], direct)


def entropic_value(y, w):
    return lambda a, b: logsumexp(y[a : b + 1]) - logsumexp(w[a : b + 1])


@modes
@directions
@pytest.mark.parametrize("offset", [0.0, 900.0])
def test_entropic_fit(rng, launch, increasing, offset):
    y, w = rng.normal(size=(2, 2, 19))
    y, w = 3 * y + offset, w - offset
    blocks = kernel("kl_isotonic_blocks", [y, w], (increasing,), **launch)
    assert oracle.well_formed(blocks)
    for r in range(2):
        value = entropic_value(y[r], w[r])
        got = [value(*np.flatnonzero(blocks[r] == b)[[0, -1]]) for b in blocks[r]]
        assert np.allclose(got, oracle.min_max_fit(19, value, increasing), rtol=1e-12)


@given(data=st.data(), y=rows.filter(lambda y: y.size <= 8))
def test_entropic_fit_of_any_row(data, y):
    w = data.draw(arrays(np.float64, y.size, elements=st.floats(-9, 9)))
    blocks = kernel("kl_isotonic_blocks", [y, w], (1,))[0]
    value = entropic_value(y, w)
    got = [value(*np.flatnonzero(blocks == b)[[0, -1]]) for b in blocks]
    assert np.allclose(got, oracle.min_max_fit(y.size, value), rtol=1e-9, atol=1e-9)


def test_entropic_entries_of_minus_infinity():
    y = np.array([[1.0, -INF, 2.0, -INF]])
    blocks = kernel("kl_isotonic_blocks", [y, np.zeros((1, 4))], (1,))
    assert np.array_equal(blocks, [[0, 0, 2, 2]])


@modes
@directions
@pytest.mark.parametrize("p", [1.3, 2.0, 3.0, 4.0])
def test_pnorm_fit(rng, launch, increasing, p):
    y, weights = rng.normal(size=(2, 15)), rng.uniform(0.2, 2, size=(2, 15))
    blocks, fit = kernel("pnorm_isotonic_blocks", [y, weights], (p, increasing), **launch)
    assert oracle.well_formed(blocks)
    for r in range(2):

        def value(a, b, r=r):
            return oracle.pnorm_value(y[r, a : b + 1], weights[r, a : b + 1], p)

        assert np.allclose(fit[r], oracle.min_max_fit(15, value, increasing), atol=1e-7)
        assert np.array_equal(fit[r], fit[r][blocks[r]])


@given(y=rows, p=st.floats(1.2, 6), increasing=st.booleans())
def test_pnorm_fit_of_any_row(y, p, increasing):
    weights = np.ones(y.size)
    blocks, fit = kernel("pnorm_isotonic_blocks", [y, weights], (p, increasing))
    assert np.all(np.diff(fit[0]) * (1 if increasing else -1) >= 0)
    for b in np.unique(blocks[0]):
        inside = y[blocks[0] == b]
        assert np.isclose(fit[0, b], oracle.pnorm_value(inside, np.ones(inside.size), p), atol=1e-5)


def test_pnorm_nan_row():
    y = np.array([[2.0, np.nan], [2.0, 1.0]])
    blocks, fit = kernel("pnorm_isotonic_blocks", [y, np.ones((2, 2))], (3.0, 1))
    assert np.array_equal(blocks, [[0, 1], [0, 0]])
    assert np.array_equal(fit, [[np.nan, np.nan], [1.5, 1.5]], equal_nan=True)


@modes
@dtypes
@directions
@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_dykstra_converges_to_the_fit(rng, launch, dtype, increasing, n):
    y = rng.normal(size=(3, n)).astype(dtype)
    weights = rng.uniform(0.5, 2, size=y.shape).astype(dtype)
    params = (4000, 1e-12, increasing)
    blocks, fit, iterations, residual = kernel("dykstra", [y, weights], params, **launch)
    assert oracle.well_formed(blocks)
    assert np.all(residual < 1e-12)
    assert np.all((iterations >= 1) & (iterations < 4000))
    for r in range(3):
        solution = isotonic_regression(
            y[r].astype(float), weights=weights[r].astype(float), increasing=bool(increasing)
        )
        assert np.allclose(fit[r], solution.x, atol=1e-6 if dtype == np.float32 else 1e-9)
        # Noise has no ties: the active pairs are those inside SciPy's blocks.
        assert np.array_equal(np.unique(blocks[r]), solution.blocks[:-1])


@modes
def test_dykstra_runs_the_cycles_it_is_given(launch):
    y = np.array([np.arange(40.0)[::-1], np.arange(40.0)])
    weights = np.ones(y.shape)
    got = kernel("dykstra", [y, weights], (7, 1e-9, 1), **launch)
    assert np.array_equal(got[2], [7, 1])
    assert got[3][0] > 1e-3
    assert got[3][1] == 0
    x, first, second = y[0].copy(), np.zeros(40), np.zeros(40)
    for _ in range(7):  # the published iteration, with its two correction vectors
        projected = _project(x + first, 0)
        first, x = x + first - projected, projected
        projected = _project(x + second, 1)
        second, x = x + second - projected, projected
    assert np.allclose(got[1][0], x, rtol=1e-12)


def _project(z, parity):
    z = z.copy()
    for i in range(parity, z.size - 1, 2):
        if z[i] > z[i + 1]:
            z[i : i + 2] = z[i : i + 2].mean()
    return z


def test_infinite_entries_give_no_wrong_finite_number():
    y = np.array([[INF, 1.0, 0.0], [2.0, -INF, INF], [1.0, 2.0, -INF]])
    weights = np.ones(y.shape)
    blocks, fit = kernel("pnorm_isotonic_blocks", [y, weights], (3.0, 1))
    assert np.array_equal(fit, [[INF] * 3, [-INF, -INF, INF], [-INF] * 3])
    assert oracle.well_formed(blocks)
    assert np.all(np.isnan(kernel("dykstra", [y, weights], (9, 1e-9, 1))[1]))


def test_dykstra_edges():
    y = np.array([[3.0, np.nan, 1.0], [3.0, 2.0, 1.0]])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    blocks, fit, iterations, residual = kernel("dykstra", [y, weights], (500, 1e-12, 1))
    assert np.array_equal(blocks, [[0, 1, 2], [0, 0, 0]])
    assert np.allclose(fit, [[np.nan] * 3, [3.0] * 3], equal_nan=True)
    assert iterations[0] == 0
    assert np.isnan(residual[0])
