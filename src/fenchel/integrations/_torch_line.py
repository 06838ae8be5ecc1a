"""A closure of PyTorch as a function of one number, with two derivatives."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fenchel.autodiff import stop_gradient

__all__ = ["Line", "flat_norm"]


def flat_norm(tensors: list[Tensor]) -> float:
    """Return the norm of all entries; nothing overflows on the way."""
    if not tensors:
        return 0.0
    largest = max(float(t.abs().max()) if t.numel() else 0.0 for t in tensors)
    if not 0.0 < largest < inf:
        return largest
    total = sum(float((t / largest).square().sum(dtype=torch.float64)) for t in tensors)
    return float(largest * total**0.5)


def _dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for x, y in zip(a, b, strict=True):
        total = total.to(x.device) + (x * y).sum(dtype=torch.float64)
    return total


class Line:
    """The loss at w + a u / |u|, as a function of the number a.

    Plain numbers give values alone. Numbers that carry derivatives give the quadratic with the
    loss, slope and curvature of the point, which is all that two derivatives see of a function.
    Without `curved` there is no curvature, and no graph kept for it.
    """

    def __init__(
        self, closure: Callable[[], Tensor], params: list[Tensor], *, curved: bool
    ) -> None:
        self._closure, self._params = closure, params
        for p in params:
            p.grad = None
        self._live: list[Tensor] = []
        loss = self._closure_with_graph()
        if any(p.grad is not None for p in params):
            raise ValueError("`closure` must return the loss without calling backward")
        self.loss, self.gradient = loss.detach(), self._gradient_of(loss, keep=curved)
        for p, g in zip(params, self.gradient, strict=True):
            p.grad = g
        self._value, self._slope = float(self.loss), 0.0
        self._second: float | None = None
        self._unit: list[Tensor] = []
        self._start: list[Tensor] | None = None
        self._longest, self.length = inf, 1.0

    def aim(self, direction: list[Tensor], decay: list[Tensor] | None) -> None:
        """Choose the direction u; beyond the decay of the weights there is no value."""
        size = flat_norm(direction)
        self.length = size
        self._unit = [u / (size or 1.0) for u in direction]
        self._slope = float(_dot(self.gradient, self._unit))
        if decay is not None and size > 0:
            lost = flat_norm(decay)
            self._longest = size * flat_norm(list(self._params)) / lost if lost else inf

    def __call__(self, a: Any) -> Any:
        """Return the loss at a place of the line."""
        place = stop_gradient(a)
        if place is a:
            return np.asarray(self._value_at(float(a)), dtype=a.dtype)
        value, slope, curvature = self._jet(float(place))
        offset = a - place
        return value + slope * offset + (0.5 * curvature) * (offset * offset)

    def restore(self) -> None:
        """Put the parameters back, and forget the graph."""
        if self._start is not None:
            for p, w in zip(self._params, self._start, strict=True):
                p.copy_(w)
        self._live = []

    def _jet(self, place: float) -> tuple[float, float, float]:
        if place != 0.0:
            self._move(place)
            loss = self._closure_with_graph()
            gradient = self._gradient_of(loss, keep=False)
            return float(loss.detach()), float(_dot(gradient, self._unit)), 0.0
        if self._second is None:
            self._second = self._curvature()
        return self._value, self._slope, self._second

    def _curvature(self) -> float:
        with torch.enable_grad():
            along = _dot(self._live, self._unit) if self._live else None
            if along is None or not along.requires_grad:  # the loss is linear
                return 0.0
            products = torch.autograd.grad(
                along, self._params, retain_graph=True, materialize_grads=True
            )
        return float(_dot(list(products), self._unit))

    def _value_at(self, place: float) -> float:
        if place == 0.0:
            return self._value
        if place > self._longest:
            return inf
        self._move(place)
        return float(self._closure())

    def _move(self, place: float) -> None:
        if self._start is None:
            # The graph of the gradient holds the parameters as they were: it is not needed again.
            self._live = []
            self._start = [p.detach().clone() for p in self._params]
        for p, w, u in zip(self._params, self._start, self._unit, strict=True):
            p.copy_(w + place * u)

    def _closure_with_graph(self) -> Tensor:
        with torch.enable_grad():
            return self._closure()

    def _gradient_of(self, loss: Tensor, *, keep: bool) -> list[Tensor]:
        with torch.enable_grad():
            gradient = torch.autograd.grad(
                loss, self._params, create_graph=keep, materialize_grads=True
            )
        if keep:
            self._live = list(gradient)
        return [g.detach() for g in gradient]
