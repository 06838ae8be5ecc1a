"""Packing, flattening and launching, with the host in the place of a GPU."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fenchel_backends.kernels.cuda import loader, tensors
from fenchel_backends.kernels.table import FUSED, KERNELS

from tests.kernels import cuda_oracles as oracle
from tests.kernels import cuda_shim
from tests.kernels.cuda_fake import CompileError, FakeArray, FakeCuPy, FakeModule

pytestmark = cuda_shim.needs_compiler

CACHES = (
    loader._module,
    loader.function_of,
    loader._processors,
    loader.shared_params,
    loader.cupy_kernel,
    loader.cupy_fused,
    loader.fused_rule,
    tensors.torch_cuda_kernel,
    tensors._shared_params,
)


@pytest.fixture
def cupy(monkeypatch):
    """A fake CuPy in the place of the real one; what was cached with it is forgotten."""
    fake = FakeCuPy()
    monkeypatch.setattr(loader, "imported_cupy", lambda: fake)
    monkeypatch.setattr(loader, "cupy_found", lambda: True)
    _forget()
    yield fake
    _forget()


def _forget():
    for cached in CACHES:
        cached.cache_clear()


def on_device(x):
    return np.asarray(x).view(FakeArray)


PARAMS = {
    "k": 2,
    "temperature": 0.7,
    "q": 2.0,
    "p": 2.0,
    "alpha": 1.5,
    "magnitude": 0,
    "increasing": 1,
    "debias": 1,
    "descending": 0,
    "max_iter": 5,
    "total": 3.0,
    "n_values": 4,
    "tol": 1e-6,
}


def inputs_of(spec, rng, shape, dtype):
    x = np.sort(rng.uniform(0.1, 2, size=shape), axis=-1)[..., ::-1].astype(dtype)
    return [x] + [rng.uniform(0.5, 1, size=shape).astype(dtype) for _ in spec.inputs[1:]]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 2000), (0, 6), (2, 1)])
def test_every_kernel_of_the_table_launches(cupy, rng, name, dtype, shape):
    spec = KERNELS[name]
    inputs = inputs_of(spec, rng, shape, dtype)
    params = [PARAMS[param] for param in spec.params]
    results = loader.cupy_kernel(name)(*map(on_device, inputs), *params)
    results = results if isinstance(results, tuple) else (results,)
    flat = [np.ascontiguousarray(x.reshape(-1, shape[-1])) for x in inputs]
    direct = cuda_shim.kernel(name, flat, params) if flat[0].size else None
    direct = direct if isinstance(direct, tuple) else (direct,) * len(results)
    for output, got, want in zip(spec.outputs, results, direct, strict=True):
        extent = shape[-1] if output.extent == "entries" else 1
        assert got.shape == (*shape[:-1], extent)
        assert got.dtype == (np.int32 if output.dtype == "int32" else dtype)
        assert not got.size or np.array_equal(got.ravel(), want.ravel())


def test_strided_inputs_and_parameters_of_each_row(cupy, rng):
    x = rng.normal(size=(9, 2, 4)).transpose(1, 2, 0)  # (2, 4, 9), not contiguous
    k = rng.uniform(1, 8, size=(4, 1))
    before = x.copy()
    tau = loader.cupy_kernel("mask_threshold")(on_device(x), on_device(k), 0.5, 2)
    assert tau.shape == (2, 4, 1)
    for i, j in np.ndindex(2, 4):
        assert np.isclose(oracle.mask(x[i, j], tau[i, j, 0], 0.5, 2).sum(), k[j, 0])
    assert np.array_equal(x, before)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_a_kernel_of_matrices_gets_their_width(cupy, torch, rng, batch):
    widths = (20, 4, 4, 5)
    inputs = [rng.normal(size=(*batch, width)) for width in widths]
    got = loader.cupy_kernel("sinkhorn_columns")(*map(on_device, inputs), 1e-6, 50)
    assert got.shape == (*batch, 5)
    same = tensors.torch_cuda_kernel("sinkhorn_columns")(*map(torch.tensor, inputs), 1e-6, 50)
    assert np.array_equal(same.numpy(), got)
    if got.size:
        flat = [x.reshape(-1, width) for x, width in zip(inputs, widths, strict=True)]
        direct = cuda_shim.matrix_kernel("sinkhorn_columns", flat, (1e-6, 50))
        assert np.array_equal(got.reshape(-1, 5), direct)


@pytest.mark.parametrize("name", FUSED)
def test_every_fused_rule_gives_value_and_pullback(cupy, rng, name):
    spec = FUSED[name]
    x = rng.normal(size=(2, 3, 7))
    constants = [np.argsort(x, axis=-1).astype(np.int32) for _ in spec.inputs[1:]]
    params = [PARAMS[param] for param in spec.params]
    rule = loader.fused_rule(name)
    device_constants = tuple(map(on_device, constants))
    outputs = rule.forward(on_device(x), params, *device_constants)
    g = on_device(rng.normal(size=7))  # broadcasts
    gx = rule.pullback(g, on_device(x), params, device_constants, outputs)
    flat = [x.reshape(6, 7), *(c.reshape(6, 7).astype(np.int64) for c in constants)]
    direct = cuda_shim.fused(name, flat, params)
    assert np.array_equal(outputs[0].reshape(6, 7), direct[0])
    assert np.array_equal(gx.reshape(6, 7), cuda_shim.fused_vjp(name, g, flat, params, direct))
    applied = loader.cupy_fused(name)(None, on_device(x), params, *device_constants)
    assert np.array_equal(applied, outputs[0])


def test_fused_rules_of_an_empty_batch(cupy):
    x = on_device(np.empty((0, 3)))
    outputs = loader.fused_rule("isotonic").forward(x, (1,))
    assert [value.shape for value in outputs] == [(0, 3), (0, 3)]
    assert loader.fused_rule("isotonic").pullback(x, x, (1,), (), outputs).shape == (0, 3)


def test_long_rows_take_scratch_from_global_memory(cupy, rng):
    y = rng.normal(size=(3, 5000))
    blocks = loader.cupy_kernel("isotonic_blocks")(on_device(y), 1)
    assert np.array_equal(blocks, cuda_shim.kernel("isotonic_blocks", [y], (1,)))


def test_half_precision_is_refused_by_name(cupy):
    with pytest.raises(TypeError, match="float32 or float64; got float16"):
        loader.cupy_kernel("isotonic_blocks")(on_device(np.ones((2, 3), np.float16)), 1)


def test_a_source_that_does_not_compile_names_the_way_out(cupy, monkeypatch):
    def refuse(self):
        raise CompileError("line 1")

    monkeypatch.setattr(FakeModule, "compile", refuse)
    with pytest.raises(RuntimeError, match=r"isotonic_blocks\.cu.*use_kernels\(False\)"):
        loader.cupy_kernel("isotonic_blocks")(on_device(np.ones((2, 3))), 1)


def test_without_cupy_there_is_no_kernel(monkeypatch):
    monkeypatch.setattr(loader, "cupy_found", lambda: False)
    _forget()
    assert loader.cupy_kernel("isotonic_blocks") is None
    assert loader.cupy_fused("isotonic") is None
    assert tensors.torch_cuda_kernel("isotonic_blocks") is None
    with pytest.raises(ModuleNotFoundError, match=r"fenchel\[cupy\]"):
        tensors.launch_tensors("isotonic_blocks", [], None, [])
    _forget()


def test_importing_the_launcher_imports_neither_cupy_nor_torch():
    code = (
        "import sys; import fenchel_backends.kernels.cuda.loader as a;"
        "import fenchel_backends.kernels.cuda.tensors;"
        "a.cupy_kernel('isotonic_blocks');"
        "print(sorted({'cupy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def torch(cupy, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    stream = SimpleNamespace(cuda_stream=1234)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    return torch


@pytest.mark.parametrize("name", KERNELS)
def test_tensors_take_the_same_kernels_on_their_own_stream(cupy, torch, rng, name):
    spec = KERNELS[name]
    inputs = inputs_of(spec, rng, (2, 3, 6), np.float32)
    params = [PARAMS[param] for param in spec.params]
    live = [torch.tensor(x.copy(), requires_grad=True) for x in inputs]
    results = tensors.torch_cuda_kernel(name)(*live, *params)
    want = loader.cupy_kernel(name)(*map(on_device, inputs), *params)
    pairs = [(results, want)] if len(spec.outputs) == 1 else zip(results, want, strict=True)
    for got, expected in pairs:
        assert not got.requires_grad
        assert np.array_equal(got.numpy(), expected)
    assert cupy.streams == [(1234, None)]


def test_tensors_with_parameters_of_each_row_and_empty_batches(torch, rng):
    x, k = rng.normal(size=(5, 4)), rng.uniform(1, 3, size=(5, 1))
    kernel = tensors.torch_cuda_kernel("mask_threshold")
    tau = kernel(torch.tensor(x).T.contiguous().T, torch.tensor(k), 0.5, 2.0)
    sums = [oracle.mask(x[r], float(tau[r]), 0.5, 2).sum() for r in range(5)]
    assert np.allclose(sums, k[:, 0])
    assert kernel(torch.empty(0, 4), 1, 0.5, 2.0).shape == (0, 1)
