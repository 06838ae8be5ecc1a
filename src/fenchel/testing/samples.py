"""Sample inputs: generic points of moderate size, as functions of a NumPy generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["distinct", "mask", "normal", "rows", "sample", "share", "uniform"]

Draw = Callable[[Any], Any]


def sample(*draws: Draw) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that makes each draw in turn."""
    return lambda rng: tuple(draw(rng) for draw in draws)


def normal(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Draw:
    """Normal entries."""
    return lambda rng: shift + scale * rng.standard_normal(shape)


def uniform(low: float, high: float, *shape: int) -> Draw:
    """Uniform entries."""
    return lambda rng: rng.uniform(low, high, shape)


def distinct(*shape: int, gap: float = 0.3) -> Draw:
    """Shuffled rows whose entries differ in value and in size by at least half a `gap`."""

    def draw(rng: Any) -> Any:
        import numpy as np

        ladder = np.broadcast_to(gap * np.arange(1.0, shape[-1] + 1.0), shape)
        sizes = rng.permuted(ladder, axis=-1) + rng.uniform(-gap / 4, gap / 4, shape)
        return sizes * rng.choice([-1.0, 1.0], shape)

    return draw


def rows(*values: float) -> Draw:
    """One parameter a row, of shape (rows, 1), the same in every draw."""

    def draw(_: Any) -> Any:
        import numpy as np

        return np.asarray(values)[:, None]

    return draw


def mask(*shape: int, keep: int) -> Draw:
    """Boolean rows of which the first `keep` entries take part."""

    def draw(_: Any) -> Any:
        import numpy as np

        return np.broadcast_to(np.arange(shape[-1]) < keep, shape).copy()

    return draw


def share(*shape: int, total: float = 1.0) -> Draw:
    """Positive rows that sum to `total`: a dense target."""

    def draw(rng: Any) -> Any:
        y = rng.uniform(0.2, 1.0, shape)
        return total * y / y.sum(axis=-1, keepdims=True)

    return draw
