"""Builds the CUDA sources as plain C++ and calls them through ctypes, one kernel at a time."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import fenchel_backends
import numpy as np
import pytest
from fenchel_backends.kernels.table import FUSED, KERNELS, LOSSES, MATRICES

SOURCES = Path(fenchel_backends.__path__[0]) / "kernels" / "cuda"

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def source_files():
    return sorted(SOURCES.glob("*.cu"))


@cache
def library(mode):
    """The kernels compiled for the host; mode "serial" or "threads" (see shim.hpp)."""
    flags = ["-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror"]
    flags += ["-DFENCHEL_SHIM"] + (["-DFENCHEL_SHIM_THREADS"] if mode == "threads" else [])
    texts = [path.read_bytes() for path in sorted(SOURCES.glob("*.*")) if path.suffix != ".py"]
    digest = hashlib.sha256(b"\0".join([*texts, " ".join(flags).encode()])).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"fenchel-cuda-shim-{digest}.so"
    if not target.exists():
        _build(flags, target)
    return ctypes.CDLL(str(target))


def _build(flags, target):
    with tempfile.TemporaryDirectory() as folder:
        unit, built = Path(folder) / "all.cpp", Path(folder) / "all.so"
        unit.write_text("".join(f'#include "{path}"\n' for path in source_files()))
        subprocess.run(["g++", *flags, "-o", str(built), str(unit)], check=True)
        # Workers of one test run may build at once: each moves a finished file into place.
        moved = target.with_suffix(f".{os.getpid()}")
        shutil.copy(built, moved)
        moved.replace(target)


def run(symbol, params, *arrays, mode="serial", block=8, grid=2, in_memory=False):
    """Launch `symbol` on the host; arrays are inputs, then outputs, which it fills in place."""
    rows, n = next(array.shape for array in arrays if array.ndim == 2)
    dtype = next(array.dtype for array in arrays if array.dtype.kind == "f")
    params = np.ascontiguousarray(np.atleast_2d(np.asarray(params, dtype)))
    assert params.shape[0] in (1, rows)
    shim = library(mode)
    shared = 0 if in_memory else 3 * n
    work = np.empty((grid, 3 * n)) if in_memory else None
    shim.fenchel_shim_configure(grid, block, ctypes.c_longlong(shared))
    getattr(shim, f"{symbol}_{dtype.name}")(
        ctypes.c_longlong(rows),
        ctypes.c_int(n),
        ctypes.c_void_p(params.ctypes.data),
        ctypes.c_int(params.shape[0]),
        ctypes.c_int(params.shape[1]),
        ctypes.c_void_p(None if work is None else work.ctypes.data),
        ctypes.c_longlong(3 * n),
        *map(_argument, arrays),
    )
    assert shim.fenchel_shim_divergences() == 0, "threads of a block passed different barriers"


def _argument(value):
    """An array by its address, a size by its value."""
    if isinstance(value, np.int32):
        return ctypes.c_int(int(value))
    assert value.flags.c_contiguous
    return ctypes.c_void_p(value.ctypes.data)


def _outputs(spec, rows, n, dtype):
    for output in spec.outputs:
        kind = dtype if output.dtype == "same" else np.int32
        # Poison: an entry the kernel forgets is seen.
        yield np.full((rows, n) if output.extent == "entries" else (rows,), -77, kind)


def kernel(name, inputs, params, **launch):
    """Outputs of a structure kernel on rows; a single output is returned bare."""
    inputs = [np.ascontiguousarray(np.atleast_2d(x)) for x in inputs]
    outputs = list(_outputs(KERNELS[name], *inputs[0].shape, inputs[0].dtype))
    run(name, params, *inputs, *outputs, **launch)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def matrix_kernel(name, inputs, params, **launch):
    """Output of a kernel of flat matrices, like its last input."""
    assert MATRICES[name].outputs[0].extent == "last"
    inputs = [np.ascontiguousarray(x) for x in inputs]
    output = np.full_like(inputs[-1], -77)
    run(name, params, *inputs, np.int32(output.shape[1]), output, **launch)
    return output


def loss(name, x, target, params=(), **launch):
    """Losses and gradients of rows; `target` holds a label a row, or rows."""
    x, target = np.ascontiguousarray(x), np.ascontiguousarray(target)
    outputs = list(_outputs(LOSSES[name], *x.shape, x.dtype))
    run(name, [params], x, target, *outputs, **launch)
    return tuple(outputs)


def fused(name, inputs, params, **launch):
    """Value and saved outputs of a fused rule."""
    inputs = [np.ascontiguousarray(np.atleast_2d(x)) for x in inputs]
    outputs = list(_outputs(FUSED[name], *inputs[0].shape, inputs[0].dtype))
    run(f"fused_{name}", params, *inputs, *outputs, **launch)
    return tuple(outputs)


def fused_vjp(name, g, inputs, params, outputs, **launch):
    """Pullback of a fused rule."""
    inputs = [np.ascontiguousarray(np.atleast_2d(x)) for x in inputs]
    g = np.ascontiguousarray(np.broadcast_to(g, inputs[0].shape).astype(inputs[0].dtype))
    gx = np.full_like(inputs[0], -77)
    run(f"fused_{name}_vjp", params, g, *inputs, *outputs, gx, **launch)
    return gx
