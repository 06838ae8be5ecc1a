"""The CUDA step of a mixture, compiled for the host, against the numba kernel."""

import ctypes

import numpy as np
import pytest
from fenchel_backends.kernels import streams
from fenchel_backends.kernels.compiled import numba_found

from fenchel.random import RandomStream
from tests.kernels.cuda_shim import library, needs_compiler
from tests.kernels.test_streams import mixture

pytestmark = [
    pytest.mark.kernels,
    needs_compiler,
    pytest.mark.skipif(not numba_found(), reason="numba is not installed"),
]


def step(arrays, numbers, noise, places, mode="serial"):
    x, means, logits = arrays
    shim, y = library(mode), np.full_like(x, -77)
    params = np.asarray([numbers], x.dtype)
    shim.fenchel_shim_configure(3, 8, ctypes.c_longlong(1))
    address = lambda a: ctypes.c_void_p(None if a is None else a.ctypes.data)
    getattr(shim, f"langevin_mixture_{x.dtype.name}")(
        ctypes.c_longlong(x.shape[0]), ctypes.c_int(x.shape[1]), address(params), ctypes.c_int(1),
        ctypes.c_int(3), address(None), ctypes.c_longlong(0), address(x), address(means),
        address(logits), ctypes.c_int(logits.size), address(noise), address(places),
        ctypes.c_int(1 if places is None else len(places)), address(y),
    )  # fmt: skip
    return y


@pytest.mark.parametrize("mode", ["serial", "threads"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (60, 2, 6), (12, 19, 3), (6, 3, 2)])
def test_the_step_of_numba(mode, dtype, n, d, k):
    arrays, numbers = mixture(n, d, k, dtype), (0.2, 0.6, 1.7)
    tolerance = 1e-13 if dtype == "float64" else 3e-6
    stream = RandomStream(2**40 + 3, step=8, slot=1, stream=5)
    place = np.asarray([[2**40 + 3, 8, 1, 5]], np.uint64)
    noise = stream.normal((n, d), like=arrays[0])
    for source, given, places in ((stream, None, place), (noise, noise, None)):
        expected = streams.mixture_step(*arrays, numbers, source)
        found = step(arrays, numbers, given, places, mode)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_streams_of_several_batches():
    arrays, numbers = mixture(12, 3, 2, "float64"), (0.2, 0.6, 1.0)
    stream = RandomStream(3, step=np.asarray([1, 4, 2]), stream=np.asarray([7, 8, 9]))
    places = np.asarray([[3, 1, 0, 7], [3, 4, 0, 8], [3, 2, 0, 9]], np.uint64)
    expected = streams.mixture_step(*arrays, numbers, stream)
    np.testing.assert_allclose(step(arrays, numbers, None, places), expected, atol=1e-13)
