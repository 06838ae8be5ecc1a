"""Dispatch and combine by index, next to products with one-hot masks and to the experts' own work.

The masks are there before the clock starts; building them would cost the products as much again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.reproduce.library import Library
from fenchel.routers import route

from .case import Case, Contender, carried, installed

__all__ = ["TITLE", "cases"]

TITLE = "Dispatch and combine, k = 2, capacity factor 1.25, width 256, float32"
EXPERTS = (8, 16, 32, 64)
WIDTH, HIDDEN, CHOICES = 256, 512, 2


def cases(quick: bool) -> Iterator[Case]:
    """Yield forward, and forward with backward, on PyTorch and on JAX under jit."""
    tokens = 512 if quick else 4096
    for name in ("torch", "jax"):
        if installed(name) is None:
            continue
        for experts in EXPERTS[:1] if quick else EXPERTS:
            layer = _Layer(Library.named(name), tokens, experts)
            yield Case(
                f"{name}, {experts} experts, forward",
                layer.contender("fenchel", layer.by_index),
                (
                    layer.contender("one-hot products", layer.by_mask),
                    layer.contender("matmuls of the experts", layer.experts_alone),
                ),
            )
            yield Case(
                f"{name}, {experts} experts, with gradient",
                layer.contender("fenchel", layer.by_index, gradient=True),
                (layer.contender("one-hot products", layer.by_mask, gradient=True),),
            )


class _Layer:
    """A routing of random tokens, in both forms."""

    def __init__(self, library: Library, tokens: int, experts: int) -> None:
        import numpy as np

        rng = np.random.default_rng(0)
        self.library, self.xp = library, library.namespace
        logits = rng.standard_normal((tokens, experts)).astype("float32")
        capacity = int(1.25 * tokens * CHOICES / experts)
        (scores,) = carried(library, [logits])
        self.routing = route(scores, k=CHOICES, capacity=capacity)
        shape = (tokens, experts * capacity)
        self.masks = [self.xp.reshape(mask, shape) for mask in self.routing.dense()]
        self.inputs = carried(library, rng.standard_normal((4, tokens, WIDTH)).astype("float32"))
        self.buffers = self.routing.dispatch(self.inputs[0])
        weights = [
            rng.standard_normal((experts, a, b)).astype("float32")
            for a, b in ((WIDTH, HIDDEN), (HIDDEN, WIDTH))
        ]
        self.weights = carried(library, weights)

    def by_index(self, x: Any) -> Any:
        """Gather rows, and gather them back."""
        return self.routing.combine(self.routing.dispatch(x))

    def by_mask(self, x: Any) -> Any:
        """Multiply by the two masks."""
        dispatch, combine = self.masks
        return combine @ (self.xp.matrix_transpose(dispatch) @ x)

    def experts_alone(self, x: Any) -> Any:
        """Two layers a buffer, without any routing; `x` keeps a compiler from doing it once."""
        first, second = self.weights
        hidden = self.xp.matmul(self.buffers + x[0, 0], first)
        return self.xp.matmul(self.xp.where(hidden > 0, hidden, 0.0 * hidden), second)

    def contender(self, name: str, f: Callable[[Any], Any], *, gradient: bool = False) -> Contender:
        """Return the computation, compiled under JAX."""
        if self.library.name == "torch":
            call = _torch_gradient(f) if gradient else f
            return Contender(name, call, self.inputs)
        backend, xp = self.library.backend, self.xp
        if gradient:
            compiled = backend.jit(backend.value_and_grad(lambda x: xp.sum(f(x) ** 2)))
        else:
            compiled = backend.jit(f)
        wait: Any = installed("jax").block_until_ready  # type: ignore[union-attr]
        return Contender(name, lambda x: wait(compiled(x)), self.inputs)


def _torch_gradient(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        live = x.detach().requires_grad_()
        (f(live) ** 2).sum().backward()
        return live.grad

    return run
