"""Compiles the CUDA kernels through CuPy and launches them on rows.

CuPy is imported by the first use of a kernel, never before; each kernel is compiled once a process,
and CuPy keeps the binary on disk. No kernel synchronises with the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np

from ..numpy_kernels import FusedRule
from ..table import FUSED, KERNELS, LOSSES, MATRICES, Output, row_integers
from .geometry import geometry
from .sources import OPTIONS, source_of, text

__all__ = [
    "cupy_found",
    "cupy_fused",
    "cupy_kernel",
    "function_of",
    "fused_rule",
    "imported_cupy",
    "launch",
    "pack",
    "shared_params",
]

Array = Any

_DTYPES = ("float32", "float64")


@cache
def cupy_found() -> bool:
    """Whether CuPy is installed (a device may still be missing).

    Returns
    -------
    bool
        True where `import cupy` would find a package.

    Examples
    --------
    >>> isinstance(cupy_found(), bool)
    True
    """
    return find_spec("cupy") is not None


def imported_cupy() -> Any:
    """Return the module `cupy`.

    Returns
    -------
    module
        CuPy, imported by the first call.
    """
    return import_module("cupy")


@cache
def _module(stem: str) -> Any:
    module = imported_cupy().RawModule(code=text(stem), options=OPTIONS)
    try:
        module.compile()
    except imported_cupy().cuda.compiler.CompileException as error:
        raise RuntimeError(
            f"the CUDA source `{stem}.cu` could not be compiled; "
            "within `fenchel.use_kernels(False)` the reference route runs instead"
        ) from error
    return module


@cache
def function_of(symbol: str, dtype: str) -> Callable[..., None]:
    """Compiled kernel of one dtype; CuPy loads it on each device it is launched on.

    Parameters
    ----------
    symbol : str
        Name of the kernel.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    callable
        `f(grid, block, arguments)`.
    """
    function: Callable[..., None] = _module(source_of(symbol)).get_function(f"{symbol}_{dtype}")
    return function


@cache
def _processors(device: int) -> int:
    attributes = imported_cupy().cuda.Device(device).attributes
    return int(attributes["MultiProcessorCount"])


def launch(symbol: str, inputs: Sequence[Array], params: Array, outputs: Sequence[Array]) -> None:
    """Run a kernel on row buffers of CuPy, on the current stream of their device.

    Parameters
    ----------
    symbol : str
        A name of the table of kernels, `fused_NAME`, or `fused_NAME_vjp`, whose inputs are the
        cotangent, the inputs of the rule and its outputs.
    inputs : sequence of cupy.ndarray (R, n)
        C-contiguous, all floating ones of the dtype of the first; rows outputs of a rule are (R,).
    params : cupy.ndarray (1, c) or (R, c)
        Parameters in table order, same dtype.
    outputs : sequence of cupy.ndarray (R, n) or (R,)
        Filled in place.

    Raises
    ------
    TypeError
        If the data is not float32 or float64.
    RuntimeError
        If the kernel cannot be compiled.

    Notes
    -----
    Scratch beyond shared memory comes from CuPy's pool and is returned in stream order.
    """
    first = inputs[0]
    rows, n = first.shape
    dtype = first.dtype.name
    if dtype not in _DTYPES:
        raise TypeError(f"CUDA kernels take float32 or float64; got {dtype}")
    if rows == 0:
        return
    with first.device:
        plan = geometry(symbol, rows=rows, n=n, processors=_processors(first.device.id))
        work: Array = np.uint64(0)  # a null pointer
        if plan.work_stride:
            work = imported_cupy().empty((plan.grid, plan.work_stride), np.float64)
        arguments = (
            np.int64(rows),
            np.int32(n),
            params,
            np.int32(params.shape[0]),
            np.int32(params.shape[1]),
            work,
            np.int64(plan.work_stride),
            *inputs,
            *_sizes(symbol, inputs),
            *outputs,
        )
        function = function_of(symbol, dtype)
        function((plan.grid,), (plan.block,), arguments, shared_mem=plan.shared_bytes)


def _sizes(symbol: str, inputs: Sequence[Array]) -> tuple[np.int32, ...]:
    """Return what the length of a row does not tell: the number of columns of a matrix."""
    return (np.int32(inputs[-1].shape[1]),) if symbol in MATRICES else ()


@lru_cache(maxsize=512)
def shared_params(params: tuple[float, ...], dtype: str, device: int) -> Array:
    """Parameters that all rows share, kept on the device: a copy from the host costs a launch.

    Parameters
    ----------
    params : tuple of float
        The numbers.
    dtype : str
        Of the data.
    device : int
        Where to.

    Returns
    -------
    cupy.ndarray (1, c)
        Not to be written.
    """
    with imported_cupy().cuda.Device(device):
        return imported_cupy().asarray(np.array([params], dtype))


def pack(params: Sequence[Any], x: Array) -> Array:
    """Pack parameters as the columns of a (1, c) or (R, c) array on the device of `x`.

    Parameters
    ----------
    params : sequence of float or cupy.ndarray
        Numbers, or arrays that broadcast to the batch of `x`, last axis 1.
    x : cupy.ndarray (..., n)
        Gives batch, dtype and device.

    Returns
    -------
    cupy.ndarray (1, c) or (R, c)
        Not to be written.
    """
    if all(isinstance(value, int | float) for value in params):
        return shared_params(tuple(map(float, params)), x.dtype.name, x.device.id)
    packed = imported_cupy().empty((*x.shape[:-1], len(params)), x.dtype)
    for column, value in enumerate(params):
        packed[..., column : column + 1] = value
    return packed.reshape(-1, len(params))


def _rows(x: Array, dtype: Any = None) -> Array:
    return imported_cupy().ascontiguousarray(x, dtype).reshape(-1, x.shape[-1])


def _input_rows(symbol: str, inputs: Sequence[Array]) -> list[Array]:
    """Rows of the inputs; the constants of a fused rule, and labels, are int64 in the sources."""
    integers = symbol.startswith("fused_")
    if symbol in LOSSES:
        integers = row_integers(LOSSES[symbol].inputs[1])
    constant = np.int64 if integers else None
    return [_rows(inputs[0]), *(_rows(value, constant) for value in inputs[1:])]


def _flat(value: Array, output: Output) -> Array:
    return value.reshape(-1) if output.extent == "rows" else _rows(value)


def _call(
    symbol: str, inputs: Sequence[Array], params: Sequence[Any], outputs: Sequence[Output]
) -> list[Array]:
    """Flatten the batch, pack the parameters, allocate, launch."""
    x = inputs[0]
    batch, n = x.shape[:-1], x.shape[-1]
    width = {"entries": n, "rows": 1, "last": inputs[-1].shape[-1]}
    with x.device:
        results = [
            imported_cupy().empty(
                (*batch, width[output.extent]),
                np.int32 if output.dtype == "int32" else x.dtype,
            )
            for output in outputs
        ]
        if prod(batch):
            flat = [_flat(value, output) for value, output in zip(results, outputs, strict=True)]
            launch(symbol, _input_rows(symbol, inputs), pack(params, x), flat)
    return results


@cache
def cupy_kernel(name: str) -> Callable[..., Any] | None:
    """Return the structure kernel `name` for CuPy arrays; None without CuPy.

    Parameters
    ----------
    name : str
        Name in the table of kernels.

    Returns
    -------
    callable or None
        `kernel(*inputs, *params)`; one array, or a tuple of the outputs. The numba kernels of the
        same names take the same arguments.

    Examples
    --------
    >>> cupy_kernel("nothing") is None
    True
    """
    spec = KERNELS.get(name) or LOSSES.get(name) or MATRICES.get(name)
    if spec is None or not cupy_found():
        return None
    count, outputs = len(spec.inputs), spec.outputs

    def kernel(*arguments: Any) -> Any:
        results = _call(name, arguments[:count], arguments[count:], outputs)
        return results[0] if len(results) == 1 else tuple(results)

    return kernel


@cache
def fused_rule(name: str) -> FusedRule | None:
    """Return the fused rule `name` on plain CuPy arrays; None without CuPy.

    Parameters
    ----------
    name : str
        Name in the table of fused rules.

    Returns
    -------
    FusedRule or None
        Forward and pullback, as for NumPy.

    Examples
    --------
    >>> fused_rule("nothing") is None
    True
    """
    if name in LOSSES and cupy_found():
        return _loss_rule(name)
    spec = FUSED.get(name)
    if spec is None or not cupy_found():
        return None
    outputs, gradient = spec.outputs, (Output("gx", "entries"),)

    def forward(x: Array, params: Sequence[Any], *constants: Array) -> tuple[Array, ...]:
        return tuple(_call(f"fused_{name}", (x, *constants), params, outputs))

    def pullback(
        g: Array,
        x: Array,
        params: Sequence[Any],
        constants: Sequence[Array],
        saved: Sequence[Array],
    ) -> Array:
        cotangent = _rows(imported_cupy().broadcast_to(g, x.shape), x.dtype)
        flat = [_flat(value, output) for value, output in zip(saved, outputs, strict=True)]
        gx = imported_cupy().empty(x.shape, x.dtype)
        if gx.size:
            symbol = f"fused_{name}_vjp"
            inputs = [cotangent, *_input_rows(symbol, (x, *constants)), *flat]
            launch(symbol, inputs, pack(params, x), [_flat(gx, gradient[0])])
        return gx

    return FusedRule(forward, pullback, lambda *arguments: forward(*arguments)[0])


def _loss_rule(name: str) -> FusedRule:
    """A loss as a fused rule: its pullback multiplies the gradient that came with the value."""
    outputs = LOSSES[name].outputs

    def forward(x: Array, params: Sequence[Any], *constants: Array) -> tuple[Array, ...]:
        return tuple(_call(name, (x, *constants), params, outputs))

    def pullback(
        g: Array,
        x: Array,
        params: Sequence[Any],
        constants: Sequence[Array],
        saved: Sequence[Array],
    ) -> Array:
        gradient = saved[1]
        # a cotangent of 0 gives 0, also where the gradient is not finite
        return imported_cupy().where(g == 0, gradient.dtype.type(0), gradient * g)

    return FusedRule(forward, pullback, lambda *arguments: forward(*arguments)[0])


@cache
def cupy_fused(name: str) -> Callable[..., Array] | None:
    """Return the forward of a fused rule for plain CuPy arrays; None without CuPy.

    Parameters
    ----------
    name : str
        Name in the table of fused rules.

    Returns
    -------
    callable or None
        `apply(formula, x, params, *constants) -> y`; the formula is not called here.

    Examples
    --------
    >>> cupy_fused("nothing") is None
    True
    """
    rule = fused_rule(name)
    if rule is None:
        return None

    def apply(formula: object, x: Array, params: Sequence[Any], *constants: Array) -> Array:
        return rule.forward(x, params, *constants)[0]

    return apply
