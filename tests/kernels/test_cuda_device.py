"""The CUDA kernels on a real device against the same sources on the host."""

import numpy as np
import pytest
from fenchel_backends.kernels.cuda import loader, tensors
from fenchel_backends.kernels.table import FUSED, KERNELS

from tests.kernels import cuda_shim
from tests.kernels.test_cuda_loader import PARAMS, inputs_of


def _devices():
    if not loader.cupy_found():
        return 0
    from fenchel_backends.cupy import BACKEND

    return len(BACKEND.describe()["devices"])


pytestmark = [
    pytest.mark.cuda,
    cuda_shim.needs_compiler,
    pytest.mark.skipif(_devices() == 0, reason="there is no CUDA device"),
]

shapes = pytest.mark.parametrize("shape", [(1, 1), (5, 33), (64, 1000), (3, 20000)], ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def agree(got, want):
    if want.dtype == np.int32:
        assert np.array_equal(got, want)
    else:
        loose = want.dtype == np.float32
        assert np.allclose(got, want, rtol=1e-5 if loose else 1e-9, atol=1e-5 if loose else 1e-9)


@pytest.mark.parametrize("name", KERNELS)
@shapes
@dtypes
def test_kernels(rng, name, shape, dtype):
    spec = KERNELS[name]
    if name == "pnorm_isotonic_blocks" and shape[1] > 1000:
        pytest.skip("the host reference is quadratic")
    inputs = inputs_of(spec, rng, shape, dtype)
    params = [PARAMS[param] for param in spec.params]
    cupy = loader.imported_cupy()
    got = loader.cupy_kernel(name)(*map(cupy.asarray, inputs), *params)
    want = cuda_shim.kernel(name, inputs, params)
    pairs = [(got, want)] if len(spec.outputs) == 1 else zip(got, want, strict=True)
    for output, expected in pairs:
        agree(cupy.asnumpy(output).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", FUSED)
@shapes
@dtypes
def test_fused_rules(rng, name, shape, dtype):
    spec = FUSED[name]
    x, g = rng.normal(size=(2, *shape)).astype(dtype)
    constants = [np.argsort(x, axis=-1) for _ in spec.inputs[1:]]
    params = [PARAMS[param] for param in spec.params]
    cupy, rule = loader.imported_cupy(), loader.fused_rule(name)
    on_device = [cupy.asarray(constant) for constant in constants]
    outputs = rule.forward(cupy.asarray(x), params, *on_device)
    gx = rule.pullback(cupy.asarray(g), cupy.asarray(x), params, on_device, outputs)
    want = cuda_shim.fused(name, [x, *constants], params)
    agree(cupy.asnumpy(outputs[0]), want[0])
    agree(cupy.asnumpy(gx), cuda_shim.fused_vjp(name, g, [x, *constants], params, want))


@dtypes
def test_tensors_on_a_side_stream(rng, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("torch was built without CUDA")
    x = rng.normal(size=(50, 3000)).astype(dtype)
    with torch.cuda.stream(torch.cuda.Stream()):
        live = torch.tensor(x, device="cuda") * 1.0
        blocks = tensors.torch_cuda_kernel("isotonic_blocks")(live, 1)
        got = blocks.cpu().numpy()
    assert np.array_equal(got, cuda_shim.kernel("isotonic_blocks", [x], (1,)))
