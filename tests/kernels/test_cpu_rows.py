"""The NumPy binder: layouts, parameters a row, read-only inputs, batches."""

import sys

import numpy as np
import pytest

pytest.importorskip("numba")
pytestmark = pytest.mark.kernels

from fenchel_backends.kernels.compiled import raw_kernel  # noqa: E402
from fenchel_backends.kernels.numpy_kernels import (  # noqa: E402
    fused_rule,
    numpy_fused,
    numpy_kernel,
)
from fenchel_backends.kernels.rows import flatten, pack  # noqa: E402
from fenchel_backends.kernels.table import FUSED, KERNELS  # noqa: E402

PARAMS = {
    "k": 2,
    "temperature": 0.5,
    "q": 2.0,
    "p": 1.5,
    "alpha": 1.5,
    "magnitude": 0,
    "increasing": 1,
    "max_iter": 50,
    "tol": 1e-6,
    "debias": 1,
    "descending": 0,
    "total": 0.5,
    "n_values": 4,
}


def arguments(spec, x):
    inputs = [np.abs(x) + 0.1 if name in ("weights", "s") else x for name in spec.inputs]
    if spec.name == "topk_pav_threshold":
        inputs = [-np.sort(-x, axis=-1)]
    if spec.name == "section_start":
        inputs[1:3] = [x - 1, x + 1]
    return inputs


def results(out):
    return out if isinstance(out, tuple) else (out,)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kernel_fills_what_the_table_says(name, dtype, rng):
    spec = KERNELS[name]
    x = rng.normal(size=(2, 3, 5)).astype(dtype)
    out = results(numpy_kernel(name)(*arguments(spec, x), *map(PARAMS.get, spec.params)))
    for value, output in zip(out, spec.outputs, strict=True):
        assert value.shape == ((2, 3, 5) if output.extent == "entries" else (2, 3, 1))
        assert value.dtype == (np.int32 if output.dtype == "int32" else dtype)


@pytest.mark.parametrize("name", KERNELS)
def test_layout_and_writeability_do_not_matter(name, rng):
    spec = KERNELS[name]
    x = rng.normal(size=(4, 6))
    inputs, params = arguments(spec, x), tuple(map(PARAMS.get, spec.params))
    expected = results(numpy_kernel(name)(*inputs, *params))
    read_only = [value.copy() for value in inputs]
    for value in read_only:
        value.flags.writeable = False
    strided = [np.repeat(value, 2, axis=-1)[:, ::2] for value in inputs]
    fortran = [np.asfortranarray(value) for value in inputs]
    swapped = [value.astype(value.dtype.newbyteorder()) for value in inputs]
    for variant in (read_only, strided, fortran, swapped):
        before = [value.copy() for value in variant]
        for a, b in zip(results(numpy_kernel(name)(*variant, *params)), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(variant, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", KERNELS)
def test_empty_batches_and_single_entries(name):
    spec = KERNELS[name]
    params = tuple(map(PARAMS.get, spec.params))
    for shape in ((0, 4), (2, 0, 3), (1,), (3, 1)):
        out = results(numpy_kernel(name)(*arguments(spec, np.ones(shape)), *params))
        assert out[0].shape[:-1] == shape[:-1]


def test_parameters_may_differ_by_row(rng):
    x = rng.normal(size=(2, 3, 8))
    k = rng.integers(1, 7, size=(2, 3, 1)).astype(float)
    width = np.array([[[0.2]], [[0.7]]])
    tau = numpy_kernel("mask_threshold")(x, k, width, 2.0)
    for i in np.ndindex(2, 3):
        alone = numpy_kernel("mask_threshold")(x[i], k[i].item(), width[i[0], 0].item(), 2.0)
        np.testing.assert_array_equal(tau[i], alone)


def test_pack_takes_numbers_and_arrays():
    dtype = np.dtype(np.float64)
    np.testing.assert_array_equal(pack((1, 0.5), (3,), dtype), [[1, 0.5]])
    np.testing.assert_array_equal(
        pack((1, np.array([[2.0], [3.0]])), (2,), dtype), [[1, 2], [1, 3]]
    )
    assert pack((np.float64(2),), (2, 2), dtype).shape == (1, 1)


def test_flatten_shows_read_only_memory_without_a_copy():
    x = np.arange(6.0).reshape(2, 3)
    x.flags.writeable = False
    shown = flatten(x)
    assert shown.flags.writeable
    assert np.shares_memory(shown, x)


def test_unknown_names_have_no_kernel():
    assert numpy_kernel("nothing") is None
    assert numpy_fused("nothing") is None
    assert fused_rule("nothing") is None


@pytest.mark.parametrize("name", FUSED)
def test_a_pullback_takes_a_broadcast_cotangent(name, rng):
    spec = FUSED[name]
    x = rng.normal(size=(3, 5))
    params = tuple(map(PARAMS.get, spec.params))
    fixed = (np.argsort(x, axis=-1),) * (len(spec.inputs) - 1)
    rule = fused_rule(name)
    outputs = rule.forward(x, params, *fixed)
    broadcast = rule.pullback(np.broadcast_to(1.0, x.shape), x, params, fixed, outputs)
    full = rule.pullback(np.ones_like(x), x, params, fixed, outputs)
    np.testing.assert_array_equal(broadcast, full)


def test_every_row_of_the_table_has_its_raw_kernels():
    for name in KERNELS:
        assert callable(raw_kernel(name))
    for name in FUSED:
        assert callable(raw_kernel(f"fused_{name}"))
        assert callable(raw_kernel(f"fused_{name}_vjp"))


def test_binding_does_not_import_numba():
    import subprocess

    code = (
        "import sys; from fenchel_backends.kernels import numpy_kernels;"
        "numpy_kernels.numpy_kernel('mask_threshold'); numpy_kernels.fused_rule('entmax');"
        "sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
