"""One step of a tuner next to one gradient, all compiled by JAX; optax's line searches as peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from fenchel.reproduce.library import Library
from fenchel.tuners import CDAT, Armijo, NonMonotone, StrongWolfe

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "One step on a tanh network, squared loss, float32, all under jax.jit"
# Widths and batch.
SIZES = (((64, 256, 256, 10), 1797), ((784, 512, 512, 10), 256))
FREE: NonMonotone | None = None


class _Network:
    @staticmethod
    def predict(params: Any, inputs: Any) -> Any:
        xp = Library.named("jax").namespace
        x = inputs
        for layer, weight in enumerate(params):
            x = x @ weight
            x = xp.tanh(x) if layer < len(params) - 1 else x
        return x

    @staticmethod
    def loss(outputs: Any, targets: Any) -> Any:
        return ((outputs - targets) ** 2).sum() / (2 * len(targets))

    def __call__(self, params: Any, inputs: Any, targets: Any) -> Any:
        return self.loss(self.predict(params, inputs), targets)


def cases(quick: bool) -> Iterator[Case]:
    """Yield the exact step against a gradient and cheaper steps, and searches against optax's."""
    if installed("jax") is None:
        return
    for widths, batch in SIZES[:1] if quick else SIZES:
        params, data = _problem(widths, batch)
        name = f"{'-'.join(map(str, widths))}, batch {batch}"
        yield _curvatures(name, params, data)
        if (optax := installed("optax")) is not None:
            yield _searches(name, params, data, optax)


def _problem(widths: tuple[int, ...], batch: int) -> tuple[Any, Any]:
    import numpy as np

    rng, carry = np.random.default_rng(0), Library.named("jax").array
    params = [carry(rng.standard_normal((a, b)) / a**0.5) for a, b in pairwise(widths)]
    targets = np.eye(widths[-1])[rng.integers(widths[-1], size=batch)]
    return params, (carry(rng.standard_normal((batch, widths[0]))), carry(targets))


def _curvatures(name: str, params: Any, data: Any) -> Case:
    gradient = Library.named("jax").backend.value_and_grad(_Network())
    peers = (
        _timed("one gradient", lambda w: gradient(w, *data), params),
        _step("with the guard", CDAT(), params, data),
        _step("Gauss-Newton", CDAT(guard=FREE, curvature="ggn"), params, data),
        _step("gradient difference", CDAT(guard=FREE, curvature="grad_difference"), params, data),
    )
    return Case(f"CDAT, exact, {name}", _step("fenchel", CDAT(guard=FREE), params, data), peers)


def _searches(name: str, params: Any, data: Any, optax: Any) -> Case:
    gradient = Library.named("jax").backend.value_and_grad(_Network())
    searches = {
        "optax, backtracking": optax.scale_by_backtracking_linesearch(30),
        "optax, zoom": optax.scale_by_zoom_linesearch(30),
    }
    peers = (
        _step("fenchel, Wolfe", StrongWolfe(), params, data),
        *(_peer(each, optax, search, gradient, params, data) for each, search in searches.items()),
    )
    return Case(f"Armijo, {name}", _step("fenchel", Armijo(), params, data), peers)


def _step(name: str, tuner: Any, params: Any, data: Any) -> Contender:
    state, objective = tuner.init(params), _Network()
    return _timed(name, lambda w: tuner.step(objective, w, state, *data), params)


def _peer(name: str, optax: Any, search: Any, gradient: Any, params: Any, data: Any) -> Contender:
    chain, objective = optax.chain(optax.sgd(1.0), search), _Network()
    state = chain.init(params)

    def step(w: Any) -> Any:
        value, slope = gradient(w, *data)
        updates, after = chain.update(
            slope, state, w, value=value, grad=slope, value_fn=lambda w: objective(w, *data)
        )
        return optax.apply_updates(w, updates), after

    return _timed(name, step, params)


def _timed(name: str, f: Callable[[Any], Any], params: Any) -> Contender:
    compiled = Library.named("jax").backend.jit(f)
    wait: Any = installed("jax").block_until_ready  # type: ignore[union-attr]
    starts = [[w * (1.0 + 1e-3 * i) for w in params] for i in range(4)]
    return Contender(name, lambda w: wait(compiled(w)), starts)
