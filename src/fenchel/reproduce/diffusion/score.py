"""A denoiser of small handwritten digits: a network in array functions, and its training."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.loops import scan
from fenchel.trees import map
from fenchel.tuners import Adam

from ..library import Library
from ..paper import Run

__all__ = ["HORIZON", "STEPS", "digits", "noise_level", "pretrained", "score"]

HORIZON, STEPS, T_MIN = 3.0, 64, 0.02
_FREQUENCIES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_WIDTHS = (64 + 2 * len(_FREQUENCIES), 192, 192, 64)
_CHUNK = 50

Parameters = tuple[tuple[Array, Array], ...]


@cache
def digits() -> tuple[Any, Any]:
    """Return images (1797, 64) scaled to [-1, 1], and their classes."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return images / 8.0 - 1.0, classes


def noise_level(t: Array) -> Array:
    """Return the deviation of the noise at time t, of X_t = exp(-t) X_0 + deviation * noise."""
    return namespace(t).sqrt(1.0 - namespace(t).exp(-2.0 * t))


def predicted_noise(y: Array, t: Array, params: Parameters) -> Array:
    """Return the noise that the network sees in images (n, 64) at times (n,)."""
    xp = namespace(y, params[0][0])
    angles = [t * frequency for frequency in _FREQUENCIES]
    waves = xp.stack([wave(a) for a in angles for wave in (namespace(t).sin, namespace(t).cos)])
    x = xp.concat([xp.asarray(y), xp.asarray(waves.T)], axis=-1)
    for place, (weight, bias) in enumerate(params):
        x = xp.matmul(x, weight) + bias
        if place < len(params) - 1:
            x = 0.5 * x * (1.0 + xp.tanh(0.5 * x))  # silu, finite far out as well
    return x


def score(y: Array, t: Array, params: Parameters) -> Array:
    """Return the score of images (n, 64) at times (n,)."""
    xp = namespace(y, params[0][0])
    return -predicted_noise(y, t, params) / xp.asarray(noise_level(t)[:, None])


def initial(library: Library, seed: int) -> Parameters:
    """Return weights of variance 1 / fan-in and biases 0; the last layer begins at 0."""
    import numpy as np

    rng = np.random.default_rng(seed)
    layers = [
        (rng.standard_normal((a, b)) * (a**-0.5 if b != 64 else 0.0), np.zeros(b))
        for a, b in pairwise(_WIDTHS)
    ]
    return tuple((library.array(weight), library.array(bias)) for weight, bias in layers)


def pretrained(run: Run, steps: int, *, batch: int = 256, rate: float = 2e-3) -> Parameters:
    """Train the denoiser by Adam, with a learning rate that falls to 0."""
    import numpy as np

    library, base = run.library, Adam()
    backend = library.backend
    rng = np.random.default_rng(0)
    images = digits()[0]

    def objective(params: Parameters, x: Array, t: Array, noise: Array) -> Array:
        xp = namespace(x, params[0][0])
        seen = x * namespace(t).exp(-t)[:, None] + noise * noise_level(t)[:, None]
        return xp.mean((predicted_noise(seen, t, params) - noise) ** 2)

    def step(carry: Any, data: Any) -> Any:
        params, state = carry
        x, t, noise, size = data
        value, slope = backend.value_and_grad(objective)(params, x, t, noise)
        direction, state = base.update(slope, state, params)
        params = map(lambda w, d: w + size * d, params, direction)
        return (params, state), value

    advance = library.compiled(lambda carry, data: scan(step, carry, data))
    params = initial(library, 0)
    carry = params, base.init(params)
    for first in run.progress(range(0, steps, _CHUNK), "training of the denoiser"):
        x = images[rng.integers(0, len(images), (_CHUNK, batch))]
        t = rng.uniform(T_MIN, HORIZON, (_CHUNK, batch))
        noise = rng.standard_normal(x.shape)
        size = rate * (1.0 - (first + np.arange(_CHUNK)) / steps)
        carry, _ = advance(carry, tuple(library.array(a) for a in (x, t, noise, size)))
    return carry[0]
