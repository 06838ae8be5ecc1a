"""Binder of the row kernels for JAX: numba functions that XLA calls itself, on the CPU.

A handler of XLA's foreign function interface is a C function of one argument, the call frame.
`numba.cfunc` makes one without a C compiler, and it runs without the interpreter lock. The
version of the interface is read from the header that comes with JAX. Where XLA refuses the
handlers, a host callback takes their place.

Handlers are not portable artefacts: `jax.export` refuses a function that calls one.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .compiled import numba_found, raw_kernel
from .rows import pack, row_call
from .table import KERNELS, MATRICES, KernelSpec, Output

__all__ = ["xla_kernel"]

_KNOWN_MAJOR = 0  # the layout that `cpu/frames.py` reads
_NUMBERS = frozenset((float, int, bool))
_SPECS = KERNELS | MATRICES


@cache
def _api_version() -> tuple[int, int] | None:
    """Version in the header that comes with JAX; None where the layout is not the known one."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    if not header.is_file():
        return None
    text = header.read_text()
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    if found[0] is None or found[1] is None or int(found[0][1]) != _KNOWN_MAJOR:
        return None
    return int(found[0][1]), int(found[1][1])


@cache
def _target(name: str, dtype: str) -> str | None:
    """Register the handler of a kernel for a dtype; None where XLA does not take it."""
    version = _api_version()
    if version is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    from .cpu.frames import make_handler

    address = make_handler(_SPECS[name], raw_kernel(name), dtype, version)
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    target = f"fenchel_{name}_{dtype}"
    try:
        jax.ffi.register_ffi_target(target, capsule(address, None, None), platform="cpu")
    except (RuntimeError, ValueError):
        return None
    return target


def _shape(output: Output, inputs: Sequence[Array]) -> jax.ShapeDtypeStruct:
    x = inputs[0]
    extent = {"entries": x.shape[-1], "rows": 1, "last": inputs[-1].shape[-1]}[output.extent]
    dtype = jnp.int32 if output.dtype == "int32" else x.dtype
    return jax.ShapeDtypeStruct((*x.shape[:-1], extent), dtype)  # type: ignore[no-untyped-call]


def _on_host(spec: KernelSpec, *arguments: Any) -> list[np.ndarray]:
    """Run the kernel from a host callback; a row of parameters serves the rows below it."""
    *inputs, params = map(np.asarray, arguments)
    flat = params.reshape(-1, params.shape[-1])
    rows = int(np.prod(inputs[0].shape[:-1]))
    if flat.shape[0] not in (1, rows):
        flat = np.repeat(flat, rows // flat.shape[0], axis=0)
    return row_call(raw_kernel(spec.name), inputs, np.array(flat), spec.outputs)


def _call(spec: KernelSpec, inputs: Sequence[Array], params: Array) -> list[Array]:
    """Call the handler, or the host where XLA refused it."""
    shapes = [_shape(output, inputs) for output in spec.outputs]
    target = _target(spec.name, inputs[0].dtype.name)
    if target is None:
        host = partial(_on_host, spec)
        results = jax.pure_callback(host, shapes, *inputs, params, vmap_method="broadcast_all")
    else:
        call = jax.ffi.ffi_call(target, shapes, vmap_method="broadcast_all")
        results = call(*inputs, params)
    return list(results)


def _constant(x: Array) -> Array:
    return jax.lax.stop_gradient(x) if isinstance(x, jax.core.Tracer) else x


@lru_cache(maxsize=512)
def _shared(params: tuple[float, ...], dtype: str) -> Array:
    """One row of parameters, on the device: passing a host array costs more than the kernel."""
    with jax.ensure_compile_time_eval():
        return jnp.asarray(pack(params, (), np.dtype(dtype))[0])


def _packed(x: Array, params: Sequence[Any]) -> Any:
    """Parameters as the columns of an array: one row if all are numbers, else one a row of x."""
    if _NUMBERS.issuperset(map(type, params)):
        return _shared(tuple(params), x.dtype.name)
    shape = (*x.shape[:-1], 1)
    columns = [jnp.broadcast_to(jnp.asarray(value, x.dtype), shape) for value in params]
    return jax.lax.stop_gradient(jnp.concatenate(columns, axis=-1))


@cache
def xla_kernel(name: str) -> Callable[..., Any] | None:
    """Return the structure kernel `name` for JAX arrays on the CPU; None without numba.

    Parameters
    ----------
    name : str
        Name in the table of kernels.

    Returns
    -------
    callable or None
        `kernel(*inputs, *params)`, under any transformation; one array, or a tuple of the outputs,
        constant in derivatives.

    Examples
    --------
    >>> blocks = xla_kernel("isotonic_blocks")
    >>> blocks(jnp.asarray([1.0, 3.0, 2.0, 4.0]), 1)
    Array([0, 1, 1, 3], dtype=int32)
    """
    spec = _SPECS.get(name)
    if spec is None or not numba_found():
        return None
    count = len(spec.inputs)
    # compiled here, an eager call costs what one inside jit does
    call = jax.jit(partial(_call, spec))

    def kernel(*arguments: Any) -> Any:
        inputs = [_constant(x) for x in arguments[:count]]
        results = call(inputs, _packed(inputs[0], arguments[count:]))
        return results[0] if len(results) == 1 else tuple(results)

    return kernel
