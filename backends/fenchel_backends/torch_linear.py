"""Linear functions with a transpose written by hand, in eager reverse mode of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from .kernels.torch_ops import is_eager

__all__ = ["linear_map"]

Function = Callable[..., Tensor]


class _Linear(torch.autograd.Function):
    """The function; its pullback is the transpose, whose own pullback is the function again."""

    @staticmethod
    def forward(
        ctx: Any,
        backend: Any,
        apply: Function,
        transpose: Function,
        x: Tensor,
        *constants: Tensor,
    ) -> Tensor:
        """Apply the function."""
        ctx.rest = backend, apply, transpose, constants
        return apply(backend, x.detach(), *constants)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the transpose."""
        backend, apply, transpose, constants = ctx.rest
        g = linear_map(backend, transpose, apply, cotangents[0], *constants)
        return None, None, None, g, *(None for _ in constants)


_apply: Callable[..., Any] = _Linear.apply


def linear_map(
    backend: Any, apply: Function, transpose: Function, x: Tensor, *constants: Tensor
) -> Tensor:
    """See `fenchel.kernels.linear_map`.

    In eager reverse mode the pullback is the transpose, to every order; under transformations and
    in compiled code derivatives are those of `apply` itself.
    """
    if torch.compiler.is_compiling() or not is_eager():
        return apply(backend, x, *constants)
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _apply(backend, apply, transpose, x, *constants))
    return apply(backend, x, *constants)
