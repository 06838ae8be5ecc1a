"""Control flow of PyTorch: loops of Python where values are known, operators where they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree
import torch
from torch import Tensor

from .torch_values import is_fake, is_mapped

__all__ = ["cond", "fori_loop", "scan", "while_loop"]


def while_loop(cond: Any, body: Any, init: Any) -> Any:
    """Apply `body` while `cond` holds; compiled where a condition cannot be decided now."""
    if torch.compiler.is_compiling():
        return _compiled_while_loop(cond, body, init)
    if any(is_fake(leaf) or leaf.is_meta for leaf in _tensors(init)):
        return body(init)  # without values, the shapes are all there is to know
    carry, going = init, cond(init)
    while _any(going):
        carry = _step(body, carry, going)
        going = cond(carry)
    return carry


def fori_loop(lower: int, upper: int, body: Any, init: Any) -> Any:
    """Apply `body(i, carry)` for i from `lower` to `upper - 1`."""
    carry = init
    for i in range(lower, upper):
        carry = body(i, carry)
    return carry


def scan(f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
    """Fold `f` over the leading axis of `xs`, and stack what it returns."""
    leaves, structure = optree.tree_flatten(xs)
    steps = leaves[0].shape[0] if leaves else int(length or 0)
    carry, rows = init, []
    for i in range(steps):
        carry, y = f(carry, optree.tree_unflatten(structure, [leaf[i] for leaf in leaves]))
        rows.append(optree.tree_flatten(y))
    if not rows:
        return carry, None
    stacked = [torch.stack(column) for column in zip(*(row[0] for row in rows), strict=True)]
    return carry, optree.tree_unflatten(rows[0][1], stacked)


def cond(pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
    """Apply one of two functions."""
    if torch.compiler.is_compiling():
        return torch.cond(pred, true_fn, false_fn, operands)
    if isinstance(pred, Tensor) and is_mapped(pred):
        chosen, other = true_fn(*operands), false_fn(*operands)
        return optree.tree_map(lambda a, b: torch.where(pred, a, b), chosen, other)
    return true_fn(*operands) if bool(pred) else false_fn(*operands)


def _compiled_while_loop(cond: Any, body: Any, init: Any) -> Any:
    """The loop as one operator of the graph; its carry is a flat tuple of tensors."""
    from torch._higher_order_ops.while_loop import while_loop

    loop: Callable[..., Any] = while_loop
    if isinstance(init, Tensor):
        return loop(cond, lambda x: (body(x),), (init,))[0]
    rebuild = getattr(type(init), "_make", tuple)  # a named tuple keeps its names
    carry = loop(lambda *c: cond(rebuild(c)), lambda *c: tuple(body(rebuild(c))), tuple(init))
    return rebuild(carry)


def _step(body: Any, carry: Any, going: Any) -> Any:
    """Return the next carry; under `vmap`, entries that are done keep theirs."""
    new = body(carry)
    if not isinstance(going, Tensor) or not is_mapped(going):
        return new
    return optree.tree_map(lambda a, b: torch.where(going, a, b), new, carry)


def _any(going: Any) -> bool:
    """Whether a condition holds, for any entry of the axes that are mapped over."""
    if isinstance(going, Tensor):
        while torch._C._functorch.is_functorch_wrapped_tensor(going):
            going = torch._C._functorch.get_unwrapped(going)
        return bool(going.any())
    return bool(going)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in optree.tree_leaves(tree) if isinstance(leaf, Tensor)]
