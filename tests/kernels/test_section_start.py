"""The multiplier of a box section by every kernel, against a look at every point."""

import numpy as np
import pytest
from fenchel_backends.kernels.compiled import numba_found
from fenchel_backends.kernels.numpy_kernels import numpy_kernel
from fenchel_backends.numpy import BACKEND
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fenchel.convex.section_search import section_start
from tests.kernels import section_oracles as oracle
from tests.kernels.cuda_shim import kernel as on_shim
from tests.kernels.cuda_shim import needs_compiler

pytestmark = pytest.mark.kernels

INF = np.inf
quarters = st.integers(-8, 8).map(lambda i: i / 4)


def _reference(*arrays):
    with np.errstate(all="ignore"):
        return section_start(BACKEND, *arrays)[0]


def _numba(*arrays):
    return numpy_kernel("section_start")(*arrays)


def _shim(*arrays, **launch):
    *inputs, total = arrays
    return on_shim("section_start", inputs, np.reshape(total, (-1, 1)), **launch)[:, None]


ROUTES = {
    "reference": pytest.param(_reference, id="reference"),
    "numba": pytest.param(
        _numba,
        id="numba",
        marks=pytest.mark.skipif(not numba_found(), reason="numba is not installed"),
    ),
    "shim": pytest.param(_shim, id="cuda", marks=needs_compiler),
}
routes = pytest.mark.parametrize("start", ROUTES.values())


def problems(rng, shape, kind, dtype=np.float64):
    """Rows with a total that some point of the box has."""
    x, w = 2 * rng.normal(size=shape), rng.normal(size=shape)
    lower = -rng.uniform(0, 1, shape)
    upper = lower + rng.uniform(0, 2, shape)
    if kind == "cauchy":
        x, w = rng.standard_cauchy(shape), rng.standard_cauchy(shape)
    if kind == "ties":
        x, w, lower, upper = np.round(x), np.round(w), np.floor(lower), np.ceil(upper)
    if kind == "open":
        lower, upper = np.where(w > 0, -INF, lower), np.where(w > 0.5, INF, upper)
    if kind == "tiny":
        w = w * 10.0 ** rng.integers(-12, 3, shape)
    parts = [value.astype(dtype) for value in (x, lower, upper, w)]
    inside = np.clip(rng.normal(size=shape), parts[1], parts[2])
    return *parts, np.sum(parts[3] * inside, axis=-1, keepdims=True).astype(dtype)


def assert_between(got, parts, loose=0.0):
    for tau, *row in zip(got[:, 0], *parts, strict=True):
        low, high = oracle.interval(*row[:4], row[4][0])
        width = loose * max(1.0, abs(tau))
        assert low - width < tau < high + width or (low == -INF and high == INF)


@routes
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties", "open", "tiny"])
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_lies_between_the_points_around_the_root(start, kind, n, rng):
    parts = problems(rng, (20, n), kind)
    assert_between(start(*parts), parts)


@routes
@pytest.mark.parametrize("kind", ["normal", "ties", "open"])
def test_single_precision(start, kind, rng):
    parts = problems(rng, (40, 30), kind, np.float32)
    got = start(*parts)
    assert got.dtype == np.float32
    assert_between(got, [value.astype(np.float64) for value in parts], loose=1e-4)


@routes
@given(
    data=st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (4, n), elements=quarters)),
    total=quarters,
)
def test_any_row_of_quarters(start, data, total):
    """Sums are exact, so that every total on a bend and every flat interval is met to the bit."""
    x, lower, upper, w = data
    parts = x, np.minimum(lower, upper), np.maximum(lower, upper), w, np.array([total])
    parts = [value[None] for value in parts]
    points = oracle.points(*(value[0] for value in parts[:4]))
    got = start(*parts)[0, 0]
    low, high = oracle.interval(*(value[0] for value in parts[:4]), total)
    assert low < got < high or (low == -INF and high == INF and got == 0 and not points.size)


@routes
def test_a_flat_interval_gives_its_middle(start):
    x = np.array([[4.0, 3.0, 0.5, 0.25, -1.0]])
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    assert start(x, zeros, ones, ones, np.array([[2.0]]))[0, 0] == 1.25  # from 0.5 to 3 - 1


@routes
def test_edges(start):
    x = np.array([[1.0, 2.0], [0.5, 1.0], [np.nan, 1.0], [0.0, 0.0], [INF, 0.25], [1.0, 2.0]])
    w = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    total = np.array([[0.0], [9.0], [1.0], [1.0], [1.25], [-0.5]])
    got = start(x, zeros, ones, w, total)[:, 0]
    assert got[0] == 0.0  # nothing moves
    assert got[1] < -0.5  # an empty set: below all points
    assert -1.0 < got[3] < 0.0
    assert -0.75 < got[4] < 0.25
    assert -2.0 < got[5] < -1.0


@pytest.mark.parametrize("name", ["numba", "shim"])
def test_any_nan_makes_the_row_nan(name, rng):
    start = ROUTES[name].values[0]
    if name == "numba" and not numba_found():
        pytest.skip("numba is not installed")
    parts = problems(rng, (6, 5), "normal")
    for r, value in enumerate(parts):
        value[r, 0] = np.nan
    assert np.array_equal(np.isnan(start(*parts)[:, 0]), np.arange(6) < 5)


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_agree(rng, dtype):
    parts = problems(rng, (5, 70), "normal", dtype)
    got = _shim(*parts, mode="threads", block=8)
    assert_between(got, [v.astype(float) for v in parts], 1e-4 if dtype == np.float32 else 1e-13)
