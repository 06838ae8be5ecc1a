"""Random draws of PyTorch: `normal`, `uniform`, `integers` of a given shape and dtype."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["TorchSampler"]

Array = Any


class TorchSampler:
    """Draws from a torch generator; an integer seed makes one on the CPU.

    Parameters
    ----------
    rng
        An integer seed or a `torch.Generator`, which advances.

    Raises
    ------
    TypeError
        If `rng` is neither.
    """

    def __init__(self, rng: Any) -> None:
        if isinstance(rng, int) and not isinstance(rng, bool):
            rng = torch.Generator().manual_seed(rng)
        if not isinstance(rng, torch.Generator):
            raise TypeError(
                f"`rng` must be an integer seed or a torch.Generator; got {type(rng).__qualname__}"
            )
        self._generator = rng

    def normal(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Standard normal draws."""
        g = self._generator
        return torch.randn(shape, generator=g, dtype=dtype, device=g.device)

    def uniform(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Uniform draws in [0, 1)."""
        g = self._generator
        return torch.rand(shape, generator=g, dtype=dtype, device=g.device)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers in [low, high)."""
        g = self._generator
        return torch.randint(low, high, shape, generator=g, device=g.device)
