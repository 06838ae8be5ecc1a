"""Pruning by top-k in magnitude: a small network on handwritten digits, one weight in ten kept.

The weights of every layer pass through `topk` on each forward pass. The hard operator gives no
gradient to the weights that are off, and they stay off; the relaxed one lets weights next to the
threshold compete, and its temperature is lowered until the network is exactly as sparse as the
hard one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fenchel.autodiff import value_and_grad
from fenchel.backend import Array, namespace
from fenchel.operators import topk

from ..figures import COLORS, new_figure
from ..library import Library
from ..paper import Claim, Run

__all__ = ["Curve", "Digits", "Setting", "claims", "tour", "train"]

LAYERS = (64, 32, 32, 10)
BATCH, LEARNING_RATE = 128, 0.2
Parameters = list[tuple[Array, Array]]


@dataclass(frozen=True)
class Setting:
    """How the weights are pruned while training.

    Parameters
    ----------
    label
        Name in tables and figures.
    start, end
        Temperature at the first and last epoch, lowered geometrically; 0 is the hard operator.
    p
        Exponent of the regularizer.
    """

    label: str
    start: float
    end: float
    p: float = 2.0

    def temperature(self, progress: float) -> float:
        """Return the temperature when a share `progress` of the epochs is done."""
        if self.start == 0.0:
            return 0.0
        return float(self.start * (self.end / self.start) ** progress)


HARD = Setting("hard", 0.0, 0.0)
SOFT = Setting("p = 2, annealed", 1.0, 0.01)
SMOOTH = Setting("p = 4/3, annealed", 1.0, 0.001, p=4 / 3)


@dataclass(frozen=True)
class Digits:
    """The handwritten digits of scikit-learn: four fifths to train on, one to test."""

    train_images: Any
    train_labels: Any
    test_images: Any
    test_labels: Any

    @classmethod
    def load(cls) -> Digits:
        """Return the 1797 images of 8 x 8 pixels, scaled to [0, 1], in a fixed random order."""
        import numpy as np
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(labels))
        images, labels = images[order] / 16.0, np.eye(10)[labels[order]]
        cut = len(order) * 4 // 5
        return cls(images[:cut], labels[:cut], images[cut:], labels[cut:])


@dataclass(frozen=True)
class Curve:
    """What training gave: test errors (epochs, seeds), and the share of weights that is left."""

    errors: Any
    density: float

    @property
    def final(self) -> float:
        """Mean test error over the seeds at the end."""
        return float(self.errors[-1].mean())


def train(
    run: Run, setting: Setting, *, density: float = 0.1, seeds: int = 4, epochs: int = 40
) -> Curve:
    """Train one network a seed, all of them at once along a leading axis.

    Parameters
    ----------
    run
        The library to train with.
    setting
        How to prune.
    density
        Share of each weight matrix that is kept.
    seeds, epochs
        Number of networks, and of passes over the data.

    Returns
    -------
    Curve
        Test errors by epoch and seed, and the final density.
    """
    import numpy as np

    library, digits = run.library, Digits.load()
    rng = np.random.default_rng(1)
    parameters = _initial(library, rng, seeds)
    test = library.array(digits.test_images)
    step = library.compiled(_step(setting, density))
    predict = library.compiled(_predict(setting, density))
    errors = []
    for epoch in run.progress(range(epochs), setting.label):
        temperature = setting.temperature(epoch / max(epochs - 1, 1))
        order = rng.permutation(len(digits.train_labels))
        for rows in np.split(order, range(BATCH, len(order), BATCH))[:-1]:
            images = library.array(digits.train_images[rows])
            labels = library.array(digits.train_labels[rows])
            parameters = step(parameters, images, labels, temperature)
        scores = library.numpy(predict(parameters, test, temperature))
        errors.append(np.mean(scores.argmax(-1) != digits.test_labels.argmax(-1), axis=-1))
    left = [library.numpy(_pruned(w, setting, density, temperature)) for w, _ in parameters]
    nonzeros = sum(int(np.count_nonzero(w)) for w in left)
    return Curve(np.stack(errors), nonzeros / sum(w.size for w in left))


def _initial(library: Library, rng: Any, seeds: int) -> Parameters:
    """Return weights of variance 2 / fan-in and zero biases, a network a seed."""
    return [
        (
            library.array(rng.standard_normal((seeds, a, b)) * (2.0 / a) ** 0.5),
            library.array([[[0.0] * b]] * seeds),
        )
        for a, b in pairwise(LAYERS)
    ]


def _pruned(weight: Array, setting: Setting, density: float, temperature: float) -> Array:
    """Return a weight matrix a seed with `density` of its entries, chosen over the whole matrix."""
    xp = namespace(weight)
    seeds, a, b = weight.shape
    flat = xp.reshape(weight, (seeds, a * b))
    kept = topk(flat, round(density * a * b), temperature=temperature, p=setting.p)
    return xp.reshape(kept, (seeds, a, b))


def _predict(setting: Setting, density: float) -> Any:
    def predict(parameters: Parameters, images: Array, temperature: float) -> Array:
        x = images
        for layer, (weight, bias) in enumerate(parameters):
            xp = namespace(weight)
            x = xp.matmul(x, _pruned(weight, setting, density, temperature)) + bias
            if layer < len(parameters) - 1:
                x = xp.where(x > 0, x, xp.zeros_like(x))
        return x

    return predict


def _step(setting: Setting, density: float) -> Any:
    """Return one step of gradient descent on the logistic loss."""
    predict = _predict(setting, density)

    def loss(parameters: Parameters, images: Array, labels: Array, temperature: float) -> Array:
        scores = predict(parameters, images, temperature)
        xp = namespace(scores)
        scores = scores - xp.max(scores, axis=-1, keepdims=True)
        log_partition = xp.log(xp.sum(xp.exp(scores), axis=-1))
        # Mean over the batch, sum over the seeds: each network has its own gradient.
        return xp.sum(xp.mean(log_partition - xp.sum(scores * labels, axis=-1), axis=-1))

    def step(
        parameters: Parameters, images: Array, labels: Array, temperature: float
    ) -> Parameters:
        _, gradient = value_and_grad(loss)(parameters, images, labels, temperature)
        return [
            (w - LEARNING_RATE * gw, b - LEARNING_RATE * gb)
            for (w, b), (gw, gb) in zip(parameters, gradient, strict=True)
        ]

    return step


def claims(run: Run) -> Iterator[Claim]:
    """Yield the test error of the relaxed operators against the hard one's."""
    seeds, epochs = (2, 20) if run.quick else (4, 40)
    curves = {
        setting: train(run, setting, seeds=seeds, epochs=epochs) for setting in (HARD, SOFT, SMOOTH)
    }
    run.save(_draw(curves), "pruning")
    for setting in (SOFT, SMOOTH):
        yield Claim(
            f"pruning to 10 %, {setting.label}: test error over the hard operator's",
            curves[setting].final / curves[HARD].final,
            "<=",
            0.6,
        )
        yield Claim(
            f"pruning to 10 %, {setting.label}: share of weights left",
            curves[setting].density,
            "<=",
            0.11,
        )
    # Without annealing more than k weights stay: the price of a soft operator, stated.
    fixed = train(run, Setting("p = 2, fixed", 1.0, 1.0), seeds=seeds, epochs=epochs)
    yield Claim("pruning to 10 %, fixed temperature 1: weights left", fixed.density, ">=", 0.11)


def tour(run: Run) -> Claim:
    """Prune a classifier of handwritten digits with the annealed and with the hard operator."""
    curves = {setting: train(run, setting, seeds=2, epochs=30) for setting in (HARD, SOFT)}
    print(f"  {'operator':<18} {'test error':>10} {'weights left':>13}")
    for setting, curve in curves.items():
        print(f"  {setting.label:<18} {curve.final:>10.1%} {curve.density:>13.1%}")
    path = run.save(_draw(curves), "topk")
    print(f"  figure: {path}")
    ratio = curves[SOFT].final / curves[HARD].final
    return Claim("test error of the soft operator over the hard one's", ratio, "<=", 0.6)


def _draw(curves: dict[Setting, Curve]) -> Any:
    figure, axis = new_figure()
    for (setting, curve), color in zip(curves.items(), ("hard", "soft", "smooth"), strict=False):
        epochs = range(1, len(curve.errors) + 1)
        axis.plot(epochs, curve.errors.mean(axis=1), color=COLORS[color], label=setting.label)
        low, high = curve.errors.min(axis=1), curve.errors.max(axis=1)
        axis.fill_between(epochs, low, high, color=COLORS[color], alpha=0.15, linewidth=0)
    axis.set(xlabel="epoch", ylabel="test error", title="digits, one weight in ten kept", ylim=0)
    axis.legend(frameon=False)
    return figure
