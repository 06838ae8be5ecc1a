"""Jacobian products of PyTorch by reverse mode twice, and derivatives of implicit functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import optree
import torch
from torch import Tensor

__all__ = [
    "differentiated",
    "jacobian_products",
    "plain",
    "slopes_with_aux",
    "zero_with_derivative",
]

Vector = list[Tensor]

_unpack: Callable[..., Any] = torch.autograd.forward_ad.unpack_dual


def jacobian_products(
    f: Callable[..., Tensor], leaves: Vector
) -> tuple[Tensor, Callable[[Vector], Tensor], Callable[[Tensor], Vector]]:
    """Return `f(*leaves)`, and products with its Jacobian and its transpose: constants.

    The pullback is linear in its cotangent, so that its own pullback is the product with the
    Jacobian: `f` is run once, and a product takes half of the time of a forward derivative.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return _inside_transforms(f, leaves)
    with torch.enable_grad():
        # no views: a leaf may stand in several places
        live = [x.detach().requires_grad_() for x in leaves]
        out = f(*live)
        if not out.requires_grad:  # the outputs do not depend on the parameters
            zeros = torch.zeros_like(out)
            return out, lambda tangent: zeros, lambda g: [torch.zeros_like(x) for x in leaves]
        cotangent = torch.zeros_like(out).requires_grad_()
        images = torch.autograd.grad(
            out, live, cotangent, create_graph=True, materialize_grads=True
        )

    linear = [i for i, image in enumerate(images) if image.requires_grad]

    def push(tangent: Vector) -> Tensor:
        return torch.autograd.grad(
            [images[i] for i in linear],
            cotangent,
            [tangent[i] for i in linear],
            retain_graph=True,
            materialize_grads=True,
        )[0]

    def pull(g: Tensor) -> Vector:
        return list(torch.autograd.grad(out, live, g, retain_graph=True, materialize_grads=True))

    return out.detach(), push, pull


def _inside_transforms(
    f: Callable[..., Tensor], leaves: Vector
) -> tuple[Tensor, Callable[[Vector], Tensor], Callable[[Tensor], Vector]]:
    out, pullback = torch.func.vjp(f, *leaves)[:2]
    push = torch.func.vjp(pullback, torch.zeros_like(out))[1]
    return out, lambda tangent: push(tuple(tangent))[0], lambda g: list(pullback(g))


def slopes_with_aux(
    f: Callable[..., tuple[Tensor, Tensor]], leaves: Vector
) -> tuple[Tensor, Vector] | None:
    """Return what `f` returns beside its value, and the derivatives of its value: constants.

    None within a transformation. `torch.func` would wrap and flatten its arguments level by level,
    which takes longer than the derivative of a small network.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return None
    with torch.enable_grad():
        inputs = [leaf.detach().requires_grad_() for leaf in leaves]
        value, aux = f(*inputs)
    if not value.requires_grad:
        return aux.detach(), [torch.zeros_like(leaf) for leaf in leaves]
    slopes = torch.autograd.grad(value, inputs, materialize_grads=True)
    return aux.detach(), list(slopes)


def plain(x: Tensor) -> Tensor:
    """Return a tensor without the levels of `torch.func.grad` and `jvp`; axes of `vmap` stay."""
    inner = x
    while torch._C._functorch.is_functorch_wrapped_tensor(inner):
        if torch._C._functorch.is_batchedtensor(inner):
            return x.detach()
        inner = torch._C._functorch.get_unwrapped(inner)
    return cast(Tensor, _unpack(inner).primal).detach()


def differentiated(tree: Any) -> bool:
    """Whether a derivative in one of the tensors may be asked for."""
    tensors = [x for x in optree.tree_leaves(tree) if isinstance(x, Tensor)]
    if any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in tensors):
        return True
    if any(_unpack(x).tangent is not None for x in tensors):
        return True
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


class _Zero(torch.autograd.Function):
    """Zeros in value, a symmetric linear map in derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """Keep the map."""
        ctx.solve = inputs[1]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the map to the cotangent."""
        return _constant_map(ctx.solve, cotangents[0]), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """Apply the map to the tangent."""
        return _constant_map(ctx.solve, tangents[0])


def _constant_map(solve: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    return solve(plain(v))


def zero_with_derivative(solve: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return zeros like the vector `x`, whose derivative is the symmetric linear map `solve`."""
    return cast(Tensor, _Zero.apply(x, solve))  # type: ignore[no-untyped-call]
