"""Training of small networks on handwritten digits, with the sharpness along the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.loops import scan
from fenchel.tuners import sharpness

from ..library import Library
from ..paper import Run

__all__ = ["CrossEntropy", "Squared", "Trace", "Trainer", "digits", "initial", "soft_labels"]

Parameters = list[tuple[Array, Array]]


def predict(params: Parameters, inputs: Array) -> Array:
    """Return the outputs of a tanh network."""
    x, last = inputs, len(params) - 1
    for layer, (weight, bias) in enumerate(params):
        xp = namespace(weight)
        x = xp.matmul(x, weight) + bias
        x = xp.tanh(x) if layer < last else x
    return x


class Squared:
    """Half the squared distance of the outputs from the targets, mean over samples."""

    predict = staticmethod(predict)

    @staticmethod
    def loss(outputs: Array, targets: Array) -> Array:
        """Return the loss of outputs."""
        xp = namespace(outputs)
        return xp.sum(xp.subtract(outputs, targets) ** 2) / (2 * targets.shape[0])

    def __call__(self, params: Parameters, inputs: Array, targets: Array) -> Array:
        """Return the loss of parameters."""
        return self.loss(predict(params, inputs), targets)


class CrossEntropy:
    """Cross-entropy of the softmax against rows of probabilities, mean over samples."""

    predict = staticmethod(predict)

    @staticmethod
    def loss(outputs: Array, targets: Array) -> Array:
        """Return the loss of outputs."""
        xp = namespace(outputs)
        centred = outputs - xp.max(outputs, axis=-1, keepdims=True)
        log_norm = xp.log(xp.sum(xp.exp(centred), axis=-1))
        return xp.mean(log_norm - xp.sum(xp.multiply(targets, centred), axis=-1))

    def __call__(self, params: Parameters, inputs: Array, targets: Array) -> Array:
        """Return the loss of parameters."""
        return self.loss(predict(params, inputs), targets)


def digits(count: int = 500) -> tuple[Any, Any]:
    """Return the first images, each pixel standardised over all of them, and their classes."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    deviation = images.std(axis=0)
    images = (images - images.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return images[:count], np.eye(10)[labels[:count]]


def soft_labels(classes: Any, seed: int = 0) -> tuple[Any, float]:
    """Return 0.7 of each class and 0.3 of a random one, and the entropy that no loss goes below."""
    import numpy as np

    rng = np.random.default_rng(seed)
    mixed = 0.7 * classes + 0.3 * np.eye(10)[rng.integers(0, 10, len(classes))]
    positive = np.where(mixed > 0, mixed, 1.0)
    return mixed, float(-np.sum(mixed * np.log(positive)) / len(mixed))


def initial(library: Library, hidden: int, seed: int, width: int = 32) -> Parameters:
    """Return weights of variance 1 / fan-in and biases 0."""
    import numpy as np

    rng = np.random.default_rng(seed)
    widths = [64, *[width] * hidden, 10]
    return [
        (library.array(rng.standard_normal((a, b)) / a**0.5), library.array([0.0] * b))
        for a, b in pairwise(widths)
    ]


@dataclass(frozen=True)
class Trace:
    """What a run left: values and learning rates by step, sharpness at the end of each chunk."""

    values: Any
    rates: Any
    sharpness: Any
    refused: int

    def final(self, floor: float = 0.0) -> float:
        """Mean loss over the last quarter, above a floor."""
        return float(self.values[-len(self.values) // 4 :].mean()) - floor

    @property
    def final_sharpness(self) -> float:
        """Mean sharpness over the last quarter."""
        return float(self.sharpness[-max(len(self.sharpness) // 4, 1) :].mean())

    @property
    def edge(self) -> float:
        """Median over the last quarter of learning rate times sharpness."""
        import numpy as np

        count = max(len(self.sharpness) // 4, 1)
        chunk = len(self.rates) // len(self.sharpness)
        # One learning rate jumps about from step to step; over a chunk the sharpness hardly moves.
        rates = np.median(self.rates.reshape(-1, chunk), axis=1)
        return float(np.median((rates * self.sharpness)[-count:]))


class Trainer:
    """A tuner on an objective: compiled once, for several starts and data."""

    def __init__(
        self, run: Run, tuner: Any, objective: Any, *, chunk: int = 50, track: bool = True
    ) -> None:
        self._run, self._tuner, self._chunk, self._track = run, tuner, chunk, track
        self._library = run.library

        def advance(carry: Any, data: Sequence[Array]) -> Any:
            def step(carry: Any, _: Any) -> Any:
                params, state, info = tuner.step(objective, *carry, *data)
                flags = info.flags.backtracks
                return (params, state), (info.value, info.learning_rate, flags)

            return scan(step, carry, None, chunk)

        def top(params: Parameters, data: Sequence[Array]) -> Array:
            return sharpness(objective, params, *data, max_iter=20, tol=1e-3)[0]

        self._advance, self._top = run.library.compiled(advance), run.library.compiled(top)

    def train(self, params: Parameters, data: Sequence[Array], steps: int, title: str) -> Trace:
        """Return the trace of so many steps on one batch."""
        import numpy as np

        carry: Any = (params, self._tuner.init(params))
        columns: list[list[Any]] = [[], [], []]
        tops = []
        for _ in self._run.progress(range(steps // self._chunk), title):
            carry, found = self._advance(carry, data)
            for column, part in zip(columns, found, strict=True):
                column.append(self._library.numpy(part))
            if self._track:
                tops.append(float(self._library.numpy(self._top(carry[0], data))))
        values, rates, refused = (np.concatenate(column) for column in columns)
        return Trace(values, rates, np.asarray(tops), int(refused.sum()))
