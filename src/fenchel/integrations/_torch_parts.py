"""A closure that returns outputs and a loss of them, for the curvature of Gauss and Newton."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._torch_line import Line, dot, pulled

__all__ = ["PartsLine"]


class PartsLine(Line):
    """A line whose curvature is <J u, H J u>, of the Jacobian J and the Hessian H of the loss.

    The gradient is the pullback J^T s of the slopes s of the loss. It is linear in s: one more
    backward sweep, over its graph and to s alone, is the pushforward J u.
    """

    _slopes: Tensor
    _outputs: Tensor
    _loss_of: Callable[[Tensor], Tensor]

    def _evaluated(self) -> Tensor:
        outputs, loss_of = _parts(self._closure())
        return loss_of(outputs)

    def _opened(self, curved: bool) -> tuple[Tensor, list[Tensor]]:
        if not curved:
            return super()._opened(curved)
        with torch.enable_grad():
            outputs, self._loss_of = _parts(self._closure())
            self._check_untouched()
            self._outputs = outputs.detach().requires_grad_()
            loss = self._loss_of(self._outputs)
            self._slopes = _slopes(loss, self._outputs, keep=False).detach().requires_grad_()
            if outputs.requires_grad:
                self._live = list(
                    torch.autograd.grad(
                        outputs, self._params, self._slopes, create_graph=True,
                        materialize_grads=True,
                    )
                )  # fmt: skip
        return loss, self._live or [torch.zeros_like(p) for p in self._params]

    def _curvature(self) -> float:
        if not self._live:
            return 0.0
        pushed = pulled(self._live, [self._slopes], self._course)
        if pushed is None:  # outputs of no parameter
            return 0.0
        with torch.enable_grad():
            slopes = _slopes(self._loss_of(self._outputs), self._outputs, keep=True)
        bent = pulled([slopes], [self._outputs], pushed)
        return 0.0 if bent is None else dot(pushed, bent)


def _slopes(loss: Tensor, outputs: Tensor, *, keep: bool) -> Tensor:
    if not loss.requires_grad:
        return torch.zeros_like(outputs)
    return torch.autograd.grad(loss, outputs, create_graph=keep, materialize_grads=True)[0]


def _parts(result: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return what a closure gave.

    Raises
    ------
    TypeError
        If that is not a tensor and a function.
    """
    if isinstance(result, tuple) and len(result) == 2:
        outputs, loss_of = result
        if isinstance(outputs, Tensor) and callable(loss_of):
            return outputs, loss_of
    raise TypeError(
        "`closure` must return (outputs, loss) for curvature='ggn', a tensor and a function of it; "
        f"got {type(result).__qualname__}"
    )
