"""A stand-in for CuPy on machines without a GPU: NumPy arrays, kernels run by the host shim.

It checks what a launch passes (order, types, sizes), not what a GPU does with it.
"""

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

from tests.kernels.cuda_shim import library

_POISON = -77


class FakeDevice:
    """A device that is current within a `with` block."""

    attributes = {"MultiProcessorCount": 4}  # noqa: RUF012

    def __init__(self, number=0):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *details):
        return None


class FakeArray(np.ndarray):
    """Memory of the host under the face of a device array."""

    @property
    def device(self):
        return FakeDevice()


class FakeRandomState:
    """Only its type matters."""


class CompileError(Exception):
    """What CuPy raises when NVRTC refuses a source."""


class FakeModule:
    """Finds kernels in the host library instead of compiling them."""

    def __init__(self, code, options):
        assert "template <class T>" in code
        assert options == ("--std=c++17",)

    def compile(self):
        return None

    def get_function(self, name):
        return lambda grid, block, arguments, *, shared_mem: _run(
            name, grid, block, arguments, shared_mem
        )


def _run(name, grid, block, arguments, shared_mem):
    assert len(grid) == len(block) == 1
    shim = library("serial")
    shim.fenchel_shim_configure(grid[0], block[0], ctypes.c_longlong(shared_mem // 8))
    getattr(shim, name)(*map(_as_c, arguments))


def _as_c(value):
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return ctypes.c_void_p(value.ctypes.data)
    kinds = {np.int64: ctypes.c_longlong, np.int32: ctypes.c_int, np.uint64: ctypes.c_void_p}
    return kinds[type(value)](int(value))


class FakeCuPy:
    """The part of CuPy that the adapter and the launcher use; the rest is NumPy's."""

    RawModule = FakeModule
    ndarray = FakeArray

    def __init__(self):
        self.streams = []
        self.cuda = SimpleNamespace(
            Device=FakeDevice,
            ExternalStream=self._stream,
            compiler=SimpleNamespace(CompileException=CompileError),
        )

    def __getattr__(self, name):
        return getattr(np, name)

    def _stream(self, pointer, device):
        self.streams.append((pointer, device))
        return nullcontext()

    def empty(self, shape, dtype):
        return np.full(shape, _POISON, dtype).view(FakeArray)

    def asarray(self, x, dtype=None):
        return np.array(x, dtype).view(FakeArray)

    def ascontiguousarray(self, x, dtype=None):
        return np.ascontiguousarray(x, dtype).view(FakeArray)

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype).view(FakeArray)

    def asnumpy(self, x):
        return np.array(x)

    def from_dlpack(self, tensor):
        return tensor.numpy().view(FakeArray)
