"""Passes over rows of tokens for PyTorch: the kernels of NumPy on the memory of CPU tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .token_rows import NUMPY, TokenRows, served
from .torch_ops import is_eager

__all__ = ["torch_token_rows"]


def _on_memory(run: Callable[..., object]) -> Callable[..., Tensor]:
    def call(*tensors: Tensor) -> Tensor:
        return torch.from_numpy(run(*(x.detach().numpy() for x in tensors)))

    return call


_PASSES = TokenRows(*map(_on_memory, NUMPY))


def torch_token_rows(x: Tensor) -> TokenRows | None:
    """Return the passes for tensors like `x`; None unless it is plain, on the CPU, and eager."""
    plain = type(x) in (Tensor, torch.nn.Parameter) and x.is_cpu and is_eager()
    if not plain or x.layout is not torch.strided or x.is_neg():
        return None
    return _PASSES if served(str(x.dtype).removeprefix("torch.")) else None
