"""Optimisers of ``torch.optim`` without hidden state: state in, update and state out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fenchel.trees import flatten, leaves, unflatten

__all__ = ["Functional", "functional"]

Tree = Any


@dataclass(frozen=True)
class Functional:
    """An optimiser of PyTorch with `init` and `update`; what `functional` returns."""

    make: Callable[..., Optimizer]
    options: tuple[tuple[str, Any], ...]

    def _optimizer(self, params: list[Tensor]) -> Optimizer:
        return self.make(params, **dict(self.options))

    def init(self, params: Tree) -> dict[Any, Any]:
        """Return the state for parameters: a container of tensors, empty before the first step."""
        copies = [leaf.detach().clone() for leaf in leaves(params)]
        state: dict[Any, Any] = self._optimizer(copies).state_dict()["state"]
        return state

    def update(self, gradient: Tree, state: dict[Any, Any], params: Tree) -> tuple[Tree, Any]:
        """Return what to add to the parameters, and the new state; nothing is written in place."""
        old, structure = flatten(params)
        moving = [leaf.detach().clone().requires_grad_() for leaf in old]
        optimizer = self._optimizer(moving)
        groups = optimizer.state_dict()["param_groups"]
        # Copies: optimisers write into their state.
        kept = {place: {k: _copied(v) for k, v in row.items()} for place, row in state.items()}
        optimizer.load_state_dict({"state": kept, "param_groups": groups})
        for leaf, slope in zip(moving, leaves(gradient), strict=True):
            leaf.grad = slope.detach().clone()
        optimizer.step()
        with torch.no_grad():
            update = [new.detach() - leaf for new, leaf in zip(moving, old, strict=True)]
        return unflatten(structure, update), optimizer.state_dict()["state"]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def functional(make: Callable[..., Optimizer], /, **options: Any) -> Functional:
    """Return an optimiser of ``torch.optim`` as an object with `init` and `update`.

    Parameters
    ----------
    make : type
        Class of the optimiser, such as ``torch.optim.Adam``; one that needs no closure.
    **options
        Its options: ``lr`` and the rest.

    Returns
    -------
    Functional
        With ``init(params) -> state`` and ``update(gradient, state, params) -> (update, state)``;
        parameters are any container of tensors, the update is added to them, and states are
        containers of tensors that can be kept and resumed from.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import functional
    >>> rule, w = functional(torch.optim.SGD, lr=0.5), torch.ones(2)
    >>> update, state = rule.update(torch.ones(2), rule.init(w), w)
    >>> update.tolist(), w.tolist()
    ([-0.5, -0.5], [1.0, 1.0])
    """
    return Functional(make, tuple(sorted(options.items())))
