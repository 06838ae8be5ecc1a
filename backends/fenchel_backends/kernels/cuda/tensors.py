"""The CUDA kernels for tensors of torch: their memory is shown to CuPy by DLPack, never copied.

Outputs are allocated by torch and written in place, on torch's current stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..table import KERNELS, LOSSES, MATRICES, Output
from . import loader

__all__ = ["launch_tensors", "torch_cuda_kernel"]

Tensor = Any


@cache
def _torch() -> Any:
    return import_module("torch")


def launch_tensors(
    symbol: str, inputs: Sequence[Tensor], params: Tensor, outputs: Sequence[Tensor]
) -> None:
    """Run a kernel on row buffers of torch; see `loader.launch`.

    Parameters
    ----------
    symbol : str
        Name of the kernel.
    inputs, outputs : sequence of torch.Tensor (R, n) or (R,)
        C-contiguous CUDA tensors of one device.
    params : torch.Tensor (1, c) or (R, c)
        On the same device.

    Raises
    ------
    ModuleNotFoundError
        If CuPy, which compiles and launches the kernels, is not installed.
    """
    if not loader.cupy_found():
        raise ModuleNotFoundError(
            "CUDA kernels on torch tensors need CuPy: pip install 'fenchel[cupy]'"
        )
    cupy = loader.imported_cupy()
    device = inputs[0].device.index
    stream = _torch().cuda.current_stream(device).cuda_stream
    # Within CuPy's view of torch's stream DLPack has nothing to wait for.
    with cupy.cuda.Device(device), cupy.cuda.ExternalStream(stream, device):
        views = [cupy.from_dlpack(value.detach()) for value in (*inputs, params, *outputs)]
        count = len(inputs)
        loader.launch(symbol, views[:count], views[count], views[count + 1 :])


@lru_cache(maxsize=512)
def _shared_params(params: tuple[float, ...], dtype: Any, device: Any) -> Tensor:
    """Parameters that all rows share, kept on the device: a copy from the host would wait."""
    return _torch().tensor([params], dtype=dtype, device=device)


def _pack(params: Sequence[Any], x: Tensor) -> Tensor:
    """Columns of parameters, (1, c) where all are numbers, (R, c) otherwise."""
    if all(isinstance(value, int | float) for value in params):
        return _shared_params(tuple(map(float, params)), x.dtype, x.device)
    packed = x.new_empty((*x.shape[:-1], len(params)))
    for column, value in enumerate(params):
        packed[..., column : column + 1] = value
    return packed.reshape(-1, len(params))


def _allocate(output: Output, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    extent = {"entries": x.shape[-1], "rows": 1, "last": inputs[-1].shape[-1]}[output.extent]
    dtype = _torch().int32 if output.dtype == "int32" else x.dtype
    return _torch().empty((*x.shape[:-1], extent), dtype=dtype, device=x.device)


@cache
def torch_cuda_kernel(name: str) -> Callable[..., Any] | None:
    """Return the structure kernel `name` for plain CUDA tensors; None without CuPy or torch.

    Parameters
    ----------
    name : str
        Name in the table of kernels.

    Returns
    -------
    callable or None
        `kernel(*inputs, *params)`; one tensor, or a tuple of the outputs. It stands behind the same
        `torch.library` operators as the numba kernels do, as their CUDA implementation.

    Examples
    --------
    >>> torch_cuda_kernel("nothing") is None
    True
    """
    spec = KERNELS.get(name) or LOSSES.get(name) or MATRICES.get(name)
    if spec is None or not loader.cupy_found() or find_spec("torch") is None:
        return None
    count, outputs = len(spec.inputs), spec.outputs

    def kernel(*arguments: Any) -> Any:
        x = arguments[0]
        results = [_allocate(output, arguments[:count]) for output in outputs]
        if x.numel():
            detached = [value.detach() for value in arguments[:count]]
            rows = [value.reshape(-1, value.shape[-1]).contiguous() for value in detached]
            flat = [
                value.view(-1) if output.extent == "rows" else value.view(-1, value.shape[-1])
                for value, output in zip(results, outputs, strict=True)
            ]
            launch_tensors(name, rows, _pack(arguments[count:], x), flat)
        return results[0] if len(results) == 1 else tuple(results)

    return kernel
