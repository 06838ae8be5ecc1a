"""Losses of class indices on plain CPU tensors, reduced, with one node for reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from .class_losses import class_loss
from .torch_ops import is_eager

__all__ = ["torch_class_loss", "torch_class_loss_value"]

_REAL = (torch.float32, torch.float64)


def torch_class_loss(
    name: str,
    params: tuple[float, ...],
    scores: Tensor,
    target: Tensor,
    divisor: int,
    summed: bool,
) -> tuple[Tensor, Tensor] | None:
    """Return the loss and its gradient as constants; None where other ways must be gone.

    Parameters
    ----------
    name, params, scores, target, divisor, summed
        As for `class_loss`.

    Examples
    --------
    >>> x, k = torch.tensor([[0.5, 0.0, -2.0]]), torch.tensor([0])
    >>> torch_class_loss("loss_sparsemax_index", (), x, k, 1, True)[0]
    tensor(0.0625)
    """
    if not _plain(scores) or not _plain(target):
        return None
    if scores.dtype not in _REAL or not is_eager():
        return None
    pair = class_loss(name, params, scores.detach().numpy(), target.numpy(), divisor, summed)
    if pair is None:
        return None
    return torch.from_numpy(np.asarray(pair[0])), torch.from_numpy(pair[1])


def torch_class_loss_value(*arguments: Any) -> Tensor | None:
    """Return the loss, differentiable; None where other ways must be gone.

    Parameters
    ----------
    *arguments
        As for `class_loss`, and last ``formula(scores)``, which higher derivatives are those of.

    Examples
    --------
    >>> x, k = torch.tensor([[0.5, 0.0, -2.0]], requires_grad=True), torch.tensor([0])
    >>> loss = torch_class_loss_value("loss_sparsemax_index", (), x, k, 1, True, None)
    >>> torch.autograd.grad(loss, x)[0]
    tensor([[-0.2500,  0.2500,  0.0000]])
    """
    *given, formula = arguments
    scores, summed = given[2], given[5]
    recorded = scores.requires_grad and torch.is_grad_enabled()
    if recorded and not summed:
        return None
    pair = torch_class_loss(*given)
    if pair is None:
        return None
    return cast(Tensor, _apply(scores, [*pair], formula, given)) if recorded else pair[0]


def _plain(x: Tensor) -> bool:
    return type(x) is Tensor and x.is_cpu and x.layout is torch.strided and not x.is_neg()


class _Total(torch.autograd.Function):
    """A sum of losses whose gradient is at hand; the formula where that is differentiated."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, pair: list[Tensor], formula: Callable[[Tensor], Tensor], given: Any
    ) -> Tensor:
        """Keep the gradient."""
        ctx.save_for_backward(x)  # torch notices when x is written before the pullback
        value = pair[0]
        ctx.rest = [pair[1]], formula, given
        return value

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Hand the gradient over, times the cotangent."""
        (g,) = cotangents
        (x,) = ctx.saved_tensors
        kept, formula, given = ctx.rest
        mapped = torch._C._functorch.is_legacy_batchedtensor(g)
        if mapped or torch.is_grad_enabled() or not (_plain(g) and is_eager()):
            keep = torch.is_grad_enabled()
            with torch.enable_grad():
                (gx,) = torch.autograd.grad(formula(x), x, g, create_graph=keep)
            return gx, None, None, None
        # given away rather than copied: a second pullback computes it again
        gradient = kept.pop() if kept else cast(Any, torch_class_loss(*given))[1]
        factor = g.item()
        if factor == 0.0:
            gradient.zero_()
        elif factor != 1.0:
            gradient.mul_(factor)
        return gradient, None, None, None


# as in `torch_ops`: plain values need none of what `_Total.apply` looks at first
_apply: Callable[..., Any] = super(torch.autograd.Function, _Total).apply
