"""The digits, a network of 8970 parameters, and training with any step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

from fenchel.backend import namespace
from fenchel.losses import logistic, squared
from fenchel.oracles import UnitStep
from fenchel.trees import map

from ..library import Library

__all__ = ["LOSSES", "Outcome", "adam", "predict", "sgd", "train", "unit_steps"]

LOSSES = {"squared": squared, "logistic": logistic}
_WIDTHS = (64, 64, 64, 10)
# Parameters, state, batch -> parameters, state, slope (None where there is none).
Step = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the loss of all digits, the curve of batch losses, the largest slope."""

    loss: float
    curve: tuple[float, ...]
    slope: float


@cache
def _digits() -> tuple[Any, Any]:
    """Return standardised images (1797, 64) and their classes."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / (spread + (spread == 0)), y


def predict(params: Any, x: Any) -> Any:
    """Return the outputs (m, 10) of the tanh network."""
    xp = namespace(*params[0])
    for place, (weight, bias) in enumerate(params):
        x = xp.matmul(x, weight) + bias
        x = xp.tanh(x) if place < len(params) - 1 else x
    return x


def _start(library: Library, seed: int) -> Any:
    import numpy as np

    rng = np.random.default_rng(seed)
    layers = []
    for n, k in itertools.pairwise(_WIDTHS):
        weight = rng.normal(size=(n, k)) / n**0.5
        layers.append((library.array(weight), library.array(np.zeros(k))))
    return layers


def _targets(library: Library, loss: str, classes: Any) -> Any:
    import numpy as np

    return library.array(np.eye(10)[classes]) if loss == "squared" else library.integers(classes)


def _batches(library: Library, loss: str, size: int, steps: int, seed: int) -> Iterator[Any]:
    import numpy as np

    x, y = _digits()
    rng = np.random.default_rng(seed)
    order: Any = np.empty(0, dtype=int)
    for _ in range(steps):
        if len(order) < size:
            order = rng.permutation(len(x))
        rows, order = order[:size], order[size:]
        yield library.array(x[rows]), _targets(library, loss, y[rows])


def train(
    library: Library, loss: str, step: Step, state: Any, *, size: int, steps: int, seed: int
) -> Outcome:
    """Train from a seed; a run that leaves the finite numbers ends there."""
    params = _start(library, seed)
    run = library.compiled(step)
    curve, steepest = [], -float("inf")
    state = map(lambda x: x, state(params)) if callable(state) else state
    for x, y in _batches(library, loss, size, steps, seed):
        params, state, info = run(params, state, x, y)
        value, slope = (float(number) for number in info)
        curve.append(value)
        if not isfinite(value):
            return Outcome(float("nan"), tuple(curve), steepest)
        steepest = max(steepest, slope)
    x, y = _digits()
    final = LOSSES[loss](predict(params, library.array(x)), _targets(library, loss, y))
    return Outcome(float(final), tuple(curve), steepest)


def _value_and_grad(library: Library, loss: str) -> Any:
    def objective(params: Any, x: Any, y: Any) -> Any:
        return LOSSES[loss](predict(params, x), y)

    return library.backend.value_and_grad(objective)


def sgd(library: Library, loss: str, rate: float) -> tuple[Step, Any]:
    """Return gradient descent and its state."""
    both = _value_and_grad(library, loss)

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = both(params, x, y)
        return map(lambda w, g: w - rate * g, params, gradient), state, (value, -1.0 + 0.0 * value)

    return step, ()


def adam(library: Library, loss: str, rate: float) -> tuple[Step, Any]:
    """Return Adam and the making of its state."""
    both = _value_and_grad(library, loss)

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = both(params, x, y)
        mean, square, count = state
        count = count + 1.0
        mean = map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
        first, second = 1.0 - 0.9**count, 1.0 - 0.999**count
        params = map(
            lambda w, m, v: w - rate * (m / first) / ((v / second) ** 0.5 + 1e-8),
            params, mean, square,
        )  # fmt: skip
        return params, (mean, square, count), (value, -1.0 + 0.0 * value)

    def state(params: Any) -> Any:
        zeros = map(lambda w: 0.0 * w, params)
        return zeros, zeros, library.array(0.0)

    return step, state


def unit_steps(oracle: Any) -> tuple[Step, Any]:
    """Return unit steps along the directions of an oracle."""
    update = UnitStep()

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        params, state, info = update.step(oracle, params, state, x, y)
        return params, state, (info.value, info.oracle.slope)

    return step, ()
