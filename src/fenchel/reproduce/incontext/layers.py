"""Layers with free parameters, trained on random contexts: what they learn is gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import cos, pi
from typing import Any

from fenchel import trees
from fenchel.autodiff import value_and_grad
from fenchel.backend import namespace
from fenchel.incontext import (
    ARLeastSquares,
    ContextSampler,
    LinearAttentionLayer,
    LinearTransformer,
    simulate_ar,
)

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

TOKENS, BATCH, RATE = 20, 256, 5e-3


class Data:
    """Sequences of unit tokens to train and to test on."""

    def __init__(self, kind: str, dim: int, seed: int = 0) -> None:
        import numpy as np

        rng = np.random.default_rng(seed)
        contexts = ContextSampler(kind, dim).sample(4096 + 2048, rng)
        s = simulate_ar(contexts, TOKENS)
        s = s / np.linalg.norm(s[:, :1], axis=-1, keepdims=True)
        self.train, self.test, self.dim = s[:4096], s[4096:], dim

    def descent_errors(self, steps: int) -> tuple[float, float]:
        """Return the best test error of so many steps of descent, and its learning rate."""
        import numpy as np

        rates = np.linspace(0.05, 0.5, 46)
        return min((self.error(_descent(rate, steps)(self.test)), float(rate)) for rate in rates)

    def error(self, predicted: Any) -> float:
        """Mean squared error of predictions, from prefixes of two tokens on."""
        return float(((predicted[:, 1:-1] - self.test[:, 2:]) ** 2).sum(-1).mean())


def _descent(rate: float, steps: int) -> Callable[[Any], Any]:
    return ARLeastSquares(method="gd", steps=steps, step_size=rate).prefix_predictions


class Trained:
    """Layers of one head after training, with Adam and a cosine schedule."""

    def __init__(
        self, run: Run, data: Data, *, steps: int, depth: int = 1, scores: str = "linear"
    ) -> None:
        import numpy as np

        library, rng, size = run.library, np.random.default_rng(1), 3 * data.dim
        key = library.array(np.eye(size)[None])
        shape = (depth, 2, 1, size, size)
        start = library.array(0.3 * rng.standard_normal(shape) / size**0.5)

        def model(params: Any, s: Any) -> Any:
            layers = [
                LinearAttentionLayer(
                    params[i, 0, ...], key, params[i, 1, ...], scores=scores, scale=1.0
                )
                for i in range(depth)
            ]
            return LinearTransformer(layers).predict(s)

        def loss(params: Any, s: Any) -> Any:
            xp = namespace(params)
            gap = model(params, s)[:, 1:-1, :] - s[:, 2:, :]
            return xp.sum(gap**2) / (gap.shape[0] * gap.shape[1])

        step = library.compiled(_adam(loss))
        batches = rng.integers(0, len(data.train), (steps, BATCH))
        state: Any = (start, trees.zeros_like(start), trees.zeros_like(start))
        self.losses = []
        for t in run.progress(range(steps), f"{depth} layer(s), {scores}"):
            numbers = (
                RATE * (1 + cos(pi * t / steps)) / 2,
                1 - 0.9 ** (t + 1),
                1 - 0.999 ** (t + 1),
            )
            value, *state = step(
                *state, library.array(data.train[batches[t]]), *map(library.array, numbers)
            )
            if t % 50 == 0:
                self.losses.append(float(library.numpy(value)))
        predicted = library.compiled(model)(state[0], library.array(data.test))
        self.predicted, self.params = library.numpy(predicted), library.numpy(state[0])
        self.error = data.error(self.predicted)

    def cosine(self, other: Any) -> float:
        """Cosine of all predictions with those of an algorithm."""
        import numpy as np

        x, y = self.predicted[:, 1:-1], other[:, 1:-1]
        return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))


def _adam(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step of Adam with gradients clipped at norm 1."""
    slope = value_and_grad(loss)

    def step(params: Any, m: Any, v: Any, s: Any, rate: Any, m_share: Any, v_share: Any) -> Any:
        value, g = slope(params, s)
        xp = namespace(g)
        norm = xp.sqrt(xp.sum(g * g))
        g = g / xp.maximum(norm, xp.ones_like(norm))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return value, params - rate * (m / m_share) / (xp.sqrt(v / v_share) + 1e-8), m, v

    return step


def claims(run: Run) -> Iterator[Claim]:
    """Yield what one layer learns, what a second one adds, and what a softmax does."""
    data = Data("orthogonal", 5)
    one = Trained(run, data, steps=600 if run.quick else 2500)
    error, rate = data.descent_errors(1)
    yield Claim(
        "one layer: distance of its test error from 0.43", abs(one.error - 0.43), "<=", 0.03
    )
    yield Claim("one layer: its error over that of one step of descent", one.error / error, "<=", 1)
    cosine = one.cosine(_descent(rate, 1)(data.test))
    yield Claim("one layer: cosine with one step of descent", cosine, ">=", 0.93)
    yield Claim("one layer: blocks of the step over the others", _dominance(one.params[0]), ">=", 5)
    if run.quick:
        return
    two = Trained(run, data, steps=1500, depth=2)
    yield Claim("two layers: test error", two.error, "<=", 0.22)
    four = data.descent_errors(4)[0]
    yield Claim("two layers: error over that of four steps of descent", two.error / four, "<=", 1.0)
    soft = Trained(run, data, steps=2500, scores="softmax")
    yield Claim(
        "softmax over linear scores, orthogonal contexts", soft.error / one.error, "<=", 1.0
    )
    turns = Data("rotation", 6)
    linear, softmax = (Trained(run, turns, steps=2500, scores=s) for s in ("linear", "softmax"))
    ratio = softmax.error / linear.error
    yield Claim("softmax over linear scores, commuting contexts", ratio, ">=", 1.0)
    run.save(_draw(data, one, two, soft), "layers")


def _dominance(params: Any) -> float:
    """Return the smaller of two ratios: the block of the step over the next largest.

    The score couples s_T of the query with s_{t-1} of the key, the value sends s_t to the output.
    """
    import numpy as np

    size = params.shape[-1] // 3
    blocks = params[:, 0].reshape(2, 3, size, 3, size)
    scores, values = np.sqrt((blocks**2).sum(axis=(2, 4)))  # norms, by block
    # Q e_T meets e_t: rows are those of the key; blocks on the zeros of the tokens do nothing
    others = max(scores[1, 1], scores[1, 2], scores[2, 2])
    return float(min(scores[2, 1] / others, values[0, 1] / values[0, 2]))


def _draw(data: Data, one: Trained, two: Trained, soft: Trained) -> Any:
    figure, (left, right) = new_figure(2)
    names = {"one layer": (one, "soft"), "two layers": (two, "smooth"), "softmax": (soft, "hard")}
    for name, (trained, color) in names.items():
        steps = [50 * i for i in range(len(trained.losses))]
        left.plot(steps, trained.losses, color=COLORS[color], label=name)
    left.set(xlabel="step", ylabel="loss on the batch", ylim=(0, 1.2), title="Training")
    left.legend(frameon=False)
    for coordinate, color in ((0, "soft"), (1, "smooth")):
        truth = data.test[0, 2:, coordinate]
        right.plot(truth, color=COLORS[color], label=f"token, coordinate {coordinate + 1}")
        right.plot(two.predicted[0, 1:-1, coordinate], "--", color=COLORS[color])
    right.set(xlabel="position", title="Two layers (dashed) along a sequence")
    right.legend(frameon=False)
    return figure
