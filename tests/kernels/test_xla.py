"""Structure kernels called by XLA, and the host callback that stands in for them."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

import jax.numpy as jnp  # noqa: E402
from fenchel_backends.kernels import xla  # noqa: E402
from fenchel_backends.kernels.numpy_kernels import numpy_kernel  # noqa: E402
from fenchel_backends.kernels.table import KERNELS  # noqa: E402

from tests.kernels.test_cpu_rows import PARAMS, arguments, results  # noqa: E402


@pytest.fixture(params=["handler", "callback"])
def route(request, monkeypatch):
    """Run by the native handlers, and as where XLA refuses them."""
    if request.param == "callback":
        monkeypatch.setattr(xla, "_target", lambda name, dtype: None)
    xla.xla_kernel.cache_clear()
    yield request.param
    xla.xla_kernel.cache_clear()


def sample(name, shape, dtype=np.float32):
    spec = KERNELS[name]
    inputs = arguments(spec, np.random.default_rng(1).normal(size=shape).astype(dtype))
    return inputs, tuple(map(PARAMS.get, spec.params))


def assert_same(out, expected):
    for a, b in zip(results(out), results(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), b)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_match_numpy(name):
    inputs, params = sample(name, (2, 3, 5))
    kernel = xla.xla_kernel(name)
    expected = numpy_kernel(name)(*inputs, *params)
    assert_same(kernel(*map(jnp.asarray, inputs), *params), expected)
    jitted = jax.jit(lambda *rows: kernel(*rows, *params))
    assert_same(jitted(*map(jnp.asarray, inputs)), expected)


@pytest.mark.parametrize("name", ["mask_threshold", "dykstra"])
def test_kernels_in_double_precision(name):
    inputs, params = sample(name, (4, 6), np.float64)
    with jax.enable_x64(True):
        out = xla.xla_kernel(name)(*map(jnp.asarray, inputs), *params)
        assert_same(out, numpy_kernel(name)(*inputs, *params))


@pytest.mark.parametrize("name", ["isotonic_blocks", "mask_threshold", "pnorm_isotonic_blocks"])
def test_map_and_scan(name, route):
    inputs, params = sample(name, (3, 4, 5))
    kernel, arrays = xla.xla_kernel(name), [jnp.asarray(value) for value in inputs]
    expected = numpy_kernel(name)(*inputs, *params)
    call = lambda *rows: kernel(*rows, *params)
    assert_same(jax.vmap(call)(*arrays), expected)
    assert_same(jax.vmap(jax.vmap(call))(*arrays), expected)
    scanned = jax.lax.scan(lambda carry, rows: (carry, call(*rows)), 0, tuple(arrays))[1]
    assert_same(scanned, expected)


def test_parameters_may_differ_by_row_or_be_mapped(route):
    x = np.random.default_rng(0).normal(size=(3, 2, 6)).astype(np.float32)
    k = np.array([[[1.0], [2.0]], [[3.0], [4.0]], [[2.5], [5.0]]], np.float32)
    kernel = xla.xla_kernel("mask_threshold")
    expected = numpy_kernel("mask_threshold")(x, k, 0.5, 2.0)
    assert_same(kernel(jnp.asarray(x), jnp.asarray(k), 0.5, 2.0), expected)
    mapped = jax.vmap(lambda x, k: kernel(x, k, 0.5, 2.0))(x, k)
    assert_same(mapped, expected)
    # one number for all rows of an element of the mapped axis
    width = jnp.asarray([0.2, 0.5, 1.0])
    by_width = jax.vmap(lambda x, w: kernel(x, 2, w, 2.0))(jnp.asarray(x), width)
    for i, w in enumerate([0.2, 0.5, 1.0]):
        assert_same(by_width[i], numpy_kernel("mask_threshold")(x[i], 2, w, 2.0))
    fixed = jax.vmap(lambda x: kernel(x, 2, 0.5, 2.0), in_axes=1, out_axes=1)(jnp.asarray(x))
    assert_same(fixed, numpy_kernel("mask_threshold")(x, 2, 0.5, 2.0))


def test_outputs_are_constant():
    x = jnp.asarray([0.3, -1.0, 0.8])
    kernel = xla.xla_kernel("mask_threshold")
    f = lambda x: kernel(x, 2, 0.5, 2.0)
    assert (jax.jacfwd(f)(x) == 0).all()
    assert (jax.jacrev(f)(x) == 0).all()
    assert (jax.hessian(lambda x: f(x).sum())(x) == 0).all()


def test_empty_batches(route):
    assert xla.xla_kernel("isotonic_blocks")(jnp.zeros((0, 4)), 1).shape == (0, 4)
    mapped = jax.vmap(lambda x: xla.xla_kernel("mask_threshold")(x, 1, 0.5, 2.0))
    assert mapped(jnp.zeros((0, 2, 4))).shape == (0, 2, 1)


def test_an_unknown_header_or_name_is_not_called(monkeypatch, tmp_path):
    assert xla.xla_kernel("nothing") is None
    header = tmp_path / "xla" / "ffi" / "api" / "c_api.h"
    header.parent.mkdir(parents=True)
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    for text, version in (
        ("#define XLA_FFI_API_MAJOR 0\n#define XLA_FFI_API_MINOR 9\n", (0, 9)),
        ("#define XLA_FFI_API_MAJOR 1\n#define XLA_FFI_API_MINOR 0\n", None),
        ("nothing of the kind", None),
    ):
        header.write_text(text)
        assert xla._api_version.__wrapped__() == version
    header.unlink()
    assert xla._api_version.__wrapped__() is None


def test_refused_handlers_leave_no_target(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("wrong version")

    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    assert xla._target.__wrapped__("isotonic_blocks", "float32") is None
