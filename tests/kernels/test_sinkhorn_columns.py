"""Column potentials of Sinkhorn's iteration by every kernel, against sweeps in the log domain."""

import numpy as np
import pytest
from fenchel_backends.kernels.compiled import numba_found
from fenchel_backends.kernels.numpy_kernels import numpy_kernel
from scipy.special import logsumexp

from tests.kernels.cuda_shim import matrix_kernel, needs_compiler

pytestmark = pytest.mark.kernels

INF = np.inf


def sweeps(z, u, log_a, log_b, tol, limit):
    """The iteration as it is written, one problem."""
    v = np.zeros_like(log_b)
    with np.errstate(all="ignore"):
        for _ in range(limit):
            before, sums = v, logsumexp(z + u[:, None], axis=0)
            v = np.where(sums > -INF, log_b - sums, 0.0)
            sums = logsumexp(z + v, axis=1)
            u = np.where(sums > -INF, log_a - sums, 0.0)
            if not np.any(np.abs(v - before) > tol):
                break
    return v


def _numba(*arguments):
    return numpy_kernel("sinkhorn_columns")(*arguments)


def _shim(*arguments, **launch):
    return matrix_kernel("sinkhorn_columns", arguments[:4], arguments[4:], **launch)


def _threads(*arguments):
    return _shim(*arguments, mode="threads", block=8, in_memory=True)


without_numba = pytest.mark.skipif(not numba_found(), reason="numba is not installed")
routes = pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(_numba, id="numba", marks=without_numba),
        pytest.param(_shim, id="cuda", marks=needs_compiler),
        pytest.param(_threads, id="cuda threads", marks=needs_compiler),
    ],
)


def problems(rng, batch, n, m, scale, *, holes=0.0, dtype=np.float64):
    z = scale * rng.normal(size=(batch, n, m))
    z = np.where(rng.random(z.shape) < holes, -INF, z)
    log_a, log_b = np.log(rng.uniform(0.1, 1, (batch, n))), np.log(rng.uniform(0.1, 1, (batch, m)))
    u = rng.normal(size=(batch, n))
    return tuple(part.astype(dtype) for part in (z, u, log_a, log_b))


def run(kernel, parts, tol, limit):
    z, *vectors = parts
    return kernel(z.reshape(z.shape[0], z.shape[1] * z.shape[2]), *vectors, tol, limit)


def expected(parts, tol, limit):
    wide = [part.astype(np.float64) for part in parts]
    return np.stack([sweeps(*problem, tol, limit) for problem in zip(*wide, strict=True)])


@routes
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 2), (1, 6), (9, 9)])
@pytest.mark.parametrize("limit", [1, 2, 3, 30])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_the_same_sweeps(kernel, shape, limit, scale, rng):
    parts = problems(rng, 3, *shape, scale, holes=0.2)
    want = expected(parts, 0.0, limit)
    np.testing.assert_allclose(run(kernel, parts, 0.0, limit), want, rtol=1e-12, atol=1e-11)


@routes
@pytest.mark.parametrize("tol", [1e-2, 1e-6])
def test_stops_at_the_same_sweep(kernel, tol, rng):
    parts = problems(rng, 4, 7, 5, 2.0)
    want = expected(parts, tol, 1000)
    np.testing.assert_allclose(run(kernel, parts, tol, 1000), want, rtol=1e-11, atol=1e-11)


@routes
def test_factors_beyond_the_range_are_taken_up(kernel):
    """Mass must go over an edge that is a factor exp(-600) less likely, twice."""
    z = np.array([[[0.0, -600.0, -INF], [-INF, 0.0, -600.0], [-INF, -INF, 0.0]]])
    parts = z, np.zeros((1, 3)), np.log([[2.0, 1.0, 1.0]]), np.log([[1.0, 1.0, 2.0]])
    for limit in (2, 5, 20):
        want = expected(parts, 0.0, limit)
        np.testing.assert_allclose(run(kernel, parts, 0.0, limit), want, rtol=1e-12, atol=1e-10)


@routes
def test_single_precision(kernel, rng):
    parts = problems(rng, 3, 6, 8, 5.0, dtype=np.float32)
    got = run(kernel, parts, 0.0, 40)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected(parts, 0.0, 40), rtol=1e-6, atol=1e-5)


@routes
@pytest.mark.parametrize("bad", [np.nan, INF])
def test_what_is_unknown_stays_in_its_problem(kernel, bad, rng):
    parts = problems(rng, 5, 3, 4, 1.0)
    want = expected(parts, 1e-9, 50)
    for r, part in enumerate(parts):
        part[r, ..., 0] = bad
    got = run(kernel, parts, 1e-9, 50)
    assert np.isnan(got[:4]).all()
    np.testing.assert_allclose(got[4], want[4], rtol=1e-12)


@routes
def test_rows_and_columns_of_only_minus_infinity_have_potential_zero(kernel, rng):
    z, *vectors = problems(rng, 2, 4, 5, 1.0)
    z[:, 1], z[:, :, 3] = -INF, -INF
    got = run(kernel, (z, *vectors), 0.0, 25)
    assert (got[:, 3] == 0).all()
    np.testing.assert_allclose(got, expected((z, *vectors), 0.0, 25), rtol=1e-11, atol=1e-11)


@without_numba
def test_parameters_of_each_problem_and_empty_batches(rng):
    parts = problems(rng, 3, 4, 5, 1.0)
    limits = np.array([[1.0], [4.0], [9.0]])
    got = run(_numba, parts, 0.0, limits)
    for r, limit in enumerate((1, 4, 9)):
        alone = [part[r : r + 1] for part in parts]
        np.testing.assert_allclose(got[r], expected(alone, 0.0, limit)[0], rtol=1e-12)
    assert run(_numba, [part[:0] for part in parts], 0.0, 3).shape == (0, 5)


@without_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_operator(dtype, rng):
    torch = pytest.importorskip("torch")
    from fenchel_backends.kernels.torch_ops import torch_kernel

    z, *vectors = problems(rng, 3, 4, 5, 1.0, dtype=dtype)
    inputs = [torch.from_numpy(part) for part in (z.reshape(3, -1), *vectors)]
    kernel = torch_kernel("sinkhorn_columns")
    want = run(_numba, (z, *vectors), 1e-6, 50)
    np.testing.assert_array_equal(kernel(*inputs, 1e-6, 50).numpy(), want)
    mapped = torch.func.vmap(lambda *parts: kernel(*parts, 1e-6, 50))(*inputs)
    np.testing.assert_array_equal(mapped.numpy(), want)
    operator = torch.ops.fenchel.sinkhorn_columns.default
    torch.library.opcheck(operator, (*inputs, [1e-6, 50.0], None))
    assert kernel(*(part.to("meta") for part in inputs), 1e-6, 50).shape == (3, 5)


@without_numba
@pytest.mark.parametrize("route", ["handler", "callback"])
def test_called_by_xla(route, rng, monkeypatch):
    jax = pytest.importorskip("jax")
    from fenchel_backends.kernels import xla

    if route == "callback":
        monkeypatch.setattr(xla, "_target", lambda name, dtype: None)
    xla.xla_kernel.cache_clear()
    z, *vectors = problems(rng, 3, 4, 5, 1.0, dtype=np.float32)
    kernel = xla.xla_kernel("sinkhorn_columns")
    inputs = [jax.numpy.asarray(part) for part in (z.reshape(3, -1), *vectors)]
    want = run(_numba, (z, *vectors), 1e-6, 50)
    call = lambda *parts: kernel(*parts, 1e-6, 50)
    for f in (call, jax.jit(call), jax.vmap(call)):
        np.testing.assert_array_equal(np.asarray(f(*inputs)), want)
    xla.xla_kernel.cache_clear()
