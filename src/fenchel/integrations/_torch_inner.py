"""What gives the directions: one that is known, or an optimiser of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Ahead", "Given", "Inner"]


class Ahead:
    """A base on a line: straight ahead."""

    def __init__(self, length: float = 1.0) -> None:
        self._length = length

    def direction(self, params: Any) -> tuple[Any, None]:
        """Return the length of the direction."""
        return np.asarray(self._length, dtype=params.dtype), None


class Given:
    """A base that points where it is told to."""

    def __init__(self, direction: list[Tensor]) -> None:
        self._direction = direction

    def direction(self, params: Any) -> tuple[list[Tensor], None]:
        """Return the direction."""
        return self._direction, None


# Optimisers that take a share of the weights away beside their step.
_DECOUPLED = (torch.optim.AdamW,)


class Inner:
    """An optimiser as a base: it moves copies of the parameters, and the moves are directions.

    Moved in place, the parameters themselves would spoil the graph that gives the curvature.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: list[Tensor]) -> None:
        self.optimizer = optimizer
        self.copies = [p.detach().clone() for p in params]
        copy_of = {id(p): copy for p, copy in zip(params, self.copies, strict=True)}
        for group in optimizer.param_groups:
            if any(id(p) not in copy_of for p in group["params"]):
                raise ValueError("`base` must be over parameters of this optimiser; got others")
            for p in group["params"]:
                if p in optimizer.state:
                    optimizer.state[copy_of[id(p)]] = optimizer.state.pop(p)
            group["params"] = [copy_of[id(p)] for p in group["params"]]

    def course(
        self, params: list[Tensor], gradient: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Return what a step adds, and its decay of the weights or None."""
        for copy, p, g in zip(self.copies, params, gradient, strict=True):
            copy.copy_(p)
            copy.grad = g
        decays = [(group, _decay_of(self.optimizer, group)) for group in self._groups()]
        for group, decay in decays:
            if decay:
                group["weight_decay"] = 0.0
        try:
            self.optimizer.step()
        finally:
            for group, decay in decays:
                if decay:
                    group["weight_decay"] = decay
        direction = [copy - p for copy, p in zip(self.copies, params, strict=True)]
        share = {id(p): d * group["lr"] for group, d in decays for p in group["params"]}
        if not any(share.values()):
            return direction, None
        pairs = zip(self.copies, params, strict=True)
        return direction, [-share.get(id(copy), 0.0) * p for copy, p in pairs]

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups


def _decay_of(base: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    """Return the decoupled decay of a group."""
    decoupled = isinstance(base, _DECOUPLED) or group.get("decoupled_weight_decay", False)
    return float(group.get("weight_decay", 0.0)) if decoupled else 0.0
