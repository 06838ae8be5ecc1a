"""Rules of several inputs on PyTorch: value and pullback by hand, eagerly and in reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from .torch_ops import is_eager

__all__ = ["torch_rule"]


class _Rule(torch.autograd.Function):
    """The rule; the formula where its pullback is differentiated."""

    @staticmethod
    def forward(ctx: Any, rule: Any, formula: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Take the value, and keep what the pullback needs."""
        y, saved = rule.forward(*(x.detach() for x in inputs))
        ctx.save_for_backward(*inputs)
        ctx.rest = rule, formula, saved
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Pull the cotangent back."""
        (g,), inputs = cotangents, ctx.saved_tensors
        rule, formula, saved = ctx.rest
        mapped = torch._C._functorch.is_legacy_batchedtensor(g)
        keep = torch.is_grad_enabled()
        if not (mapped or keep) and type(g) is Tensor and is_eager():
            return None, None, *rule.pullback(g, tuple(x.detach() for x in inputs), saved)
        live = [x for x in inputs if x.requires_grad]
        with torch.enable_grad():
            found = iter(torch.autograd.grad(formula(*inputs), live, g, create_graph=keep))
        return None, None, *(next(found) if x.requires_grad else None for x in inputs)


_apply: Callable[..., Any] = _Rule.apply


def torch_rule(rule: Any, formula: Callable[..., Tensor], *inputs: Tensor) -> Tensor | None:
    """Return the value of a rule where plain eager execution is what is active, else None.

    Parameters
    ----------
    rule
        `forward(*inputs) -> (y, saved)` and `pullback(g, inputs, saved)`, on detached tensors.
    formula : callable
        The same value, differentiable to every order.
    *inputs : Tensor
        Arguments of both.

    Returns
    -------
    Tensor or None
        The value, with the pullback as its first reverse derivative.
    """
    if torch.compiler.is_compiling() or not is_eager():
        return None
    if not all(type(x) in (Tensor, torch.nn.Parameter) for x in inputs):
        return None
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return cast(Tensor, _apply(rule, formula, *inputs))
    return cast(Tensor, rule.forward(*(x.detach() for x in inputs))[0])
