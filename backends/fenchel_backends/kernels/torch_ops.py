"""Binder of the row kernels for PyTorch: registered operators, and the fused eager route.

A structure kernel is the operator `fenchel::NAME`, so that compile, vmap, fake and meta tensors see
it; its inputs are detached and its outputs constant. Tensors on the CPU are seen as NumPy arrays
over the same memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.library import Library, register_fake, register_vmap

from .compiled import numba_found, raw_kernel
from .cuda.loader import cupy_found
from .cuda.tensors import torch_cuda_kernel
from .numpy_kernels import FusedRule, fused_rule
from .rows import pack, row_call
from .table import FUSED, KERNELS, LOSSES, MATRICES, KernelSpec, Output

__all__ = ["is_eager", "torch_fused", "torch_kernel"]

_LIBRARY = Library("fenchel", "DEF")  # type: ignore[no-untyped-call]


def _schema(spec: KernelSpec) -> str:
    inputs = ", ".join(f"Tensor {name}" for name in spec.inputs)
    results = ", ".join("Tensor" for _ in spec.outputs)
    result = results if len(spec.outputs) == 1 else f"({results})"
    return f"{spec.name}({inputs}, float[] numbers, Tensor? params) -> {result}"


def _split(arguments: Sequence[Any]) -> tuple[Sequence[Tensor], list[float], Tensor | None]:
    return arguments[:-2], arguments[-2], arguments[-1]


def _one_or_all(results: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
    return results[0] if len(results) == 1 else tuple(results)


def _on_host(spec: KernelSpec) -> Callable[..., Any]:
    """Run the numba kernel on the memory of CPU tensors."""

    def run(*arguments: Any) -> Any:
        inputs, numbers, params = _split(arguments)
        arrays = [x.numpy() for x in inputs]
        if params is None:
            packed = pack(numbers, (), arrays[0].dtype)
        else:
            packed = np.ascontiguousarray(params.numpy()).reshape(-1, params.shape[-1])
        results = row_call(raw_kernel(spec.name), arrays, packed, spec.outputs)
        return _one_or_all([torch.from_numpy(y) for y in results])

    return run


def _on_cuda(spec: KernelSpec) -> Callable[..., Any]:
    """Launch the CUDA kernel on tensors of a GPU."""

    def run(*arguments: Any) -> Any:
        inputs, numbers, params = _split(arguments)
        columns: Sequence[Any] = numbers
        if params is not None:
            columns = [params[..., i : i + 1] for i in range(params.shape[-1])]
        kernel = torch_cuda_kernel(spec.name)
        assert kernel is not None, "offered only where CuPy is installed"
        return kernel(*inputs, *columns)

    return run


def _shapes(spec: KernelSpec) -> Callable[..., Any]:
    """Shapes and dtypes of the outputs alone, for fake and meta tensors."""

    def empty(inputs: Sequence[Tensor], output: Output) -> Tensor:
        x = inputs[0]
        extent = 1 if output.extent == "rows" else _like(output, inputs).shape[-1]
        dtype = torch.int32 if output.dtype == "int32" else x.dtype
        return x.new_empty((*x.shape[:-1], extent), dtype=dtype)

    return lambda *arguments: _one_or_all([empty(arguments[:-2], y) for y in spec.outputs])


def _like(output: Output, inputs: Sequence[Tensor]) -> Tensor:
    """Return the input that an output with entries has the shape of."""
    return inputs[-1] if output.extent == "last" else inputs[0]


def _batched(spec: KernelSpec) -> Callable[..., Any]:
    """Kernels take any leading axes: a mapped axis becomes the first one."""

    def run(info: Any, in_dims: Sequence[Any], *arguments: Any) -> Any:
        def lead(x: Any, axis: int | None) -> Any:
            if not isinstance(x, Tensor):
                return x
            if axis is None:
                return x.expand(info.batch_size, *x.shape)
            return x.movedim(axis, 0)

        moved = [lead(x, axis) for x, axis in zip(arguments, in_dims, strict=True)]
        results = getattr(torch.ops.fenchel, spec.name)(*moved)
        return results, 0 if len(spec.outputs) == 1 else (0,) * len(spec.outputs)

    return run


def _register(spec: KernelSpec) -> Callable[..., Any]:
    """Define the operator of a kernel; return what operators call."""
    _LIBRARY.define(_schema(spec))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(spec.name, _on_host(spec), "CPU")  # type: ignore[no-untyped-call]
    _LIBRARY.impl(spec.name, _on_cuda(spec), "CUDA")  # type: ignore[no-untyped-call]
    register_fake(f"fenchel::{spec.name}", _shapes(spec), lib=_LIBRARY)
    register_vmap(f"fenchel::{spec.name}", _batched(spec), lib=_LIBRARY)
    operator = getattr(torch.ops.fenchel, spec.name).default
    count = len(spec.inputs)

    def kernel(*arguments: Any) -> Any:
        inputs = [x.detach() for x in arguments[:count]]
        params = arguments[count:]
        for value in params:
            if isinstance(value, Tensor):
                return operator(*inputs, [], _packed(inputs[0], params))
        return operator(*inputs, list(map(float, params)), None)

    return kernel


def _packed(x: Tensor, params: Sequence[Any]) -> Tensor:
    """Parameters as the columns of a tensor with the leading axes of x."""
    shape = (*x.shape[:-1], 1)
    columns = [
        value.detach().to(x.dtype).expand(shape)
        if isinstance(value, Tensor)
        else x.new_full(shape, value)
        for value in params
    ]
    return torch.cat(columns, dim=-1)


# Plain dictionaries, filled at import: torch.compile reads them, where it cannot see into a cache.
_SERVED = {"cpu": numba_found(), "cuda": cupy_found(), "meta": numba_found() or cupy_found()}
_KERNELS = {name: _register(spec) for name, spec in (KERNELS | MATRICES | LOSSES).items()}


def torch_kernel(name: str, device: torch.device | str = "cpu") -> Callable[..., Any] | None:
    """Return the structure kernel `name` for tensors; None without numba, on a GPU without CuPy.

    Parameters
    ----------
    name : str
        Name in the table of kernels.
    device : torch.device or str
        Where the tensors are: numba serves the CPU, CuPy a GPU.

    Returns
    -------
    callable or None
        `kernel(*inputs, *params)`; one tensor, or a tuple of the outputs, constant in derivatives.

    Examples
    --------
    >>> blocks = torch_kernel("isotonic_blocks")
    >>> blocks(torch.tensor([1.0, 3.0, 2.0, 4.0]), 1)
    tensor([0, 1, 1, 3], dtype=torch.int32)
    """
    kind = device if isinstance(device, str) else device.type
    return _KERNELS.get(name) if _SERVED.get(kind, False) else None


def is_eager() -> bool:
    """Whether no transformation, mode or tracer is active: plain values, reverse mode at most."""
    return (
        torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and torch._C._get_tracing_state() is None
    )


def _plain(x: Tensor) -> bool:
    return type(x) is Tensor and x.is_cpu and x.layout is torch.strided and not x.is_neg()


def _constant(value: Any) -> bool:
    return not isinstance(value, Tensor) or (_plain(value) and not value.requires_grad)


def _host(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else value


class _Fused(torch.autograd.Function):
    """Value and pullback by fused kernels; the formula where the pullback is differentiated."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        rule: FusedRule,
        formula: Callable[[Tensor], Tensor],
        params: Sequence[Any],
        constants: Sequence[Any],
    ) -> Tensor:
        """Run the kernel, and keep what its pullback needs."""
        outputs = rule.forward(x.detach().numpy(), params, *constants)
        y = torch.from_numpy(outputs[0])
        # x and y are saved through torch, which notices when one is written before the pullback
        ctx.save_for_backward(x, y)
        ctx.rest = rule, formula, params, constants, outputs[1:]
        return y

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Pull the cotangent back."""
        g = cotangents[0]
        x, y = ctx.saved_tensors
        rule, formula, params, constants, saved = ctx.rest
        mapped = torch._C._functorch.is_legacy_batchedtensor(g)
        if mapped or torch.is_grad_enabled() or not (_plain(g) and is_eager()):
            keep = torch.is_grad_enabled()
            with torch.enable_grad():
                (gx,) = torch.autograd.grad(formula(x), x, g, create_graph=keep)
            return gx, None, None, None, None
        outputs = (y.detach().numpy(), *saved)
        gx = torch.from_numpy(
            rule.pullback(g.detach().numpy(), x.detach().numpy(), params, constants, outputs)
        )
        return gx, None, None, None, None


# `_Fused.apply` asks first for transformations of functorch, which `_eager` has excluded, and
# looks into every argument: two thirds of its time.
_apply: Callable[..., Any] = super(torch.autograd.Function, _Fused).apply
_NUMBERS = frozenset((float, int, bool))


def _applier(name: str) -> Callable[..., Tensor] | None:
    rule = fused_rule(name)
    if rule is None:
        return None

    def apply(
        formula: Callable[[Tensor], Tensor], x: Tensor, params: Sequence[Any], *constants: Tensor
    ) -> Tensor:
        hosted: Sequence[Any] = params
        if not _NUMBERS.issuperset(map(type, params)):
            if not all(map(_constant, params)):
                return formula(x)
            hosted = tuple(map(_host, params))
        orders = tuple(map(_host, constants))
        if x.requires_grad and torch.is_grad_enabled():
            return cast(Tensor, _apply(x, rule, formula, hosted, orders))
        return torch.from_numpy(rule.value(x.detach().numpy(), hosted, *orders))

    return apply


_FUSED = {name: _applier(name) for name in (*FUSED, *LOSSES)}


def torch_fused(name: str, x: Tensor) -> Callable[..., Tensor] | None:
    """Return the fused rule `name` where plain eager execution is what is active, else None.

    Parameters
    ----------
    name : str
        Name in the table of fused rules.
    x : Tensor (..., n)
        The differentiated input.

    Returns
    -------
    callable or None
        `apply(formula, x, params, *constants) -> y`. It has a first reverse derivative by kernel; a
        higher one, or one that is mapped or traced, is that of `formula(x)`.

    Examples
    --------
    >>> y = torch.tensor([1.0, 3.0, 2.0])
    >>> fit = torch_fused("isotonic", y)
    >>> fit(None, y, (1,))
    tensor([1.0000, 2.5000, 2.5000])
    """
    if torch.compiler.is_compiling() or not _plain(x) or not is_eager():
        return None
    if x.dtype is not torch.float32 and x.dtype is not torch.float64:
        return None
    return _FUSED.get(name)
