"""A closure of PyTorch as a function of one number, with two derivatives."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fenchel.autodiff import stop_gradient

__all__ = ["Line", "dot", "flat_norm", "pulled", "shift", "tangent"]


# Squares of norms in this range are floats of single precision too.
_SMALL, _LARGE = 1e-9, 1e9


def flat_norm(tensors: list[Tensor]) -> float:
    """Return the norm of all entries; nothing overflows on the way."""
    filled = [t for t in tensors if t.numel()]
    if not filled:
        return 0.0
    norms = [torch.linalg.vector_norm(t, dtype=_wide(t)) for t in filled]
    plain = float(torch.linalg.vector_norm(torch.stack([n.to(norms[0]) for n in norms])))
    if _SMALL < plain < _LARGE:
        return plain
    largest = max(float(t.abs().max()) for t in filled)
    if not 0.0 < largest < inf:
        return largest
    total = sum(float((t / largest).square().sum(dtype=torch.float64)) for t in filled)
    return float(largest * total**0.5)


def _wide(t: Tensor) -> torch.dtype:
    return t.dtype if t.dtype == torch.float64 else torch.float32


def dot(a: list[Tensor], b: list[Tensor]) -> float:
    """Return the sum of products, half types in single precision."""
    products = [
        torch.dot(x.to(_wide(x)).reshape(-1), y.to(_wide(x)).reshape(-1)).to(torch.float64)
        for x, y in zip(a, b, strict=True)
    ]
    return float(torch.stack([d.to(products[0]) for d in products]).sum()) if products else 0.0


def shift(out: Tensor, w: Tensor, factor: float, u: Tensor) -> None:
    """Write w + factor u; a factor beyond the range of the dtype is infinite."""
    if abs(factor) > torch.finfo(_wide(w)).max:
        factor = inf if factor > 0 else -inf
    torch.add(w, u, alpha=factor, out=out)


def _over(tensors: list[Tensor], size: float) -> list[Tensor]:
    return [t / (size or 1.0) for t in tensors]


def tangent(
    loss: Tensor, gradient: list[Tensor], params: list[Tensor]
) -> Callable[[list[Tensor]], Tensor]:
    """Return the linear function with that value and gradient at the parameters."""

    def function(ps: list[Tensor]) -> Tensor:
        value = loss
        for p, w, g in zip(ps, params, gradient, strict=True):
            value = value + (g * (p - w)).sum().to(loss)
        return value

    return function


class Line:
    """The loss at w + a u / |u|, as a function of the number a.

    Plain numbers give values alone. Numbers that carry derivatives give the quadratic with the
    loss, slope and curvature of the point, which is all that two derivatives see of a function.
    Without `curved` there is no curvature, and no graph kept for it.
    """

    def __init__(self, closure: Callable[[], Any], params: list[Tensor], *, curved: bool) -> None:
        self._closure, self._params = closure, params
        for p in params:
            p.grad = None
        self._live: list[Tensor] = []  # gradient with its graph
        loss, gradient = self._opened(curved)
        self.loss, self.gradient = loss.detach(), [g.detach() for g in gradient]
        for p, g in zip(params, self.gradient, strict=True):
            p.grad = g
        self._value, self._slope = float(self.loss), 0.0
        self._second: float | None = None
        # The direction u is `_course` times |u| / `_size`; it is the gradient in steepest descent.
        self._course: list[Tensor] = []
        self._size = 1.0
        self._start: list[Tensor] | None = None
        self._longest, self.length = inf, 1.0

    def descend(self, norm: float) -> None:
        """Choose minus the gradient, whose norm is known: it is read, and not written anew."""
        self.length = norm
        moderate = _SMALL < norm < _LARGE
        self._course = self.gradient if moderate else _over(self.gradient, norm)
        self._size = -norm if moderate else -1.0
        self._slope = -norm

    def aim(self, direction: list[Tensor], decay: list[Tensor] | None) -> None:
        """Choose the direction u; beyond the decay of the weights there is no value."""
        size = flat_norm(direction)
        self.length = size
        moderate = _SMALL < size < _LARGE
        self._course = direction if moderate else _over(direction, size)
        self._size = size if moderate else 1.0
        self._slope = dot(self.gradient, self._course) / self._size
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
            with torch.enable_grad():
                loss = self._evaluated()
                gradient = self._gradient_of(loss, keep=False)
            return float(loss.detach()), dot(gradient, self._course) / self._size, 0.0
        if self._second is None:
            self._second = self._curvature() / self._size / self._size
        return self._value, self._slope, self._second

    def _curvature(self) -> float:
        products = pulled(self._live, self._params, self._course)
        return 0.0 if products is None else dot(products, self._course)

    def _value_at(self, place: float) -> float:
        if place == 0.0:
            return self._value
        if place > self._longest:
            return inf
        self._move(place)
        return float(self._evaluated())

    def _move(self, place: float) -> None:
        if self._start is None:
            # The graph of the gradient holds the parameters as they were: it is not needed again.
            self._live = []
            self._start = [p.detach().clone() for p in self._params]
        for p, w, u in zip(self._params, self._start, self._course, strict=True):
            shift(p, w, place / self._size, u)

    def _evaluated(self) -> Tensor:
        """Return the loss at the parameters as they are."""
        return self._closure()  # type: ignore[no-any-return]

    def _opened(self, curved: bool) -> tuple[Tensor, list[Tensor]]:
        """Return loss and gradient where the line begins, and keep what curvatures need."""
        with torch.enable_grad():
            loss = self._evaluated()
            self._check_untouched()
            gradient = self._gradient_of(loss, keep=curved)
        self._live = gradient if curved else []
        return loss, gradient

    def _check_untouched(self) -> None:
        if any(p.grad is not None for p in self._params):
            raise ValueError("`closure` must return the loss without calling backward")

    def _gradient_of(self, loss: Tensor, *, keep: bool) -> list[Tensor]:
        if not loss.requires_grad:
            return [torch.zeros_like(p) for p in self._params]
        return list(
            torch.autograd.grad(loss, self._params, create_graph=keep, materialize_grads=True)
        )


def pulled(
    outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor]
) -> list[Tensor] | None:
    """Return the pullback of tensors with graphs; None where none has one.

    The graph is kept: parts of it may belong to what a closure took from outside.
    """
    pairs = zip(outputs, cotangents, strict=True) if outputs else ()
    graphs = [(y, u) for y, u in pairs if y.requires_grad]
    if not graphs:
        return None
    ys, us = zip(*graphs, strict=True)
    with torch.enable_grad():
        return list(torch.autograd.grad(ys, inputs, us, retain_graph=True, materialize_grads=True))
