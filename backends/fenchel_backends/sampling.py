"""Random draws behind one face: `normal`, `uniform`, `integers` of a given shape and dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["NumPySampler"]


class NumPySampler:
    """Draws from NumPy's generator, carried to the library by `convert`.

    Parameters
    ----------
    rng
        An integer seed or a `numpy.random.Generator`, which advances.
    convert
        Function from a NumPy array to an array of the library.

    Raises
    ------
    TypeError
        If `rng` is neither.
    """

    def __init__(self, rng: Any, convert: Callable[[Any], Any]) -> None:
        if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
            rng = np.random.default_rng(int(rng))
        if not isinstance(rng, np.random.Generator):
            raise TypeError(
                "`rng` must be an integer seed or a numpy.random.Generator; "
                f"got {type(rng).__qualname__}"
            )
        self._generator, self._convert = rng, convert

    def normal(self, shape: tuple[int, ...], dtype: str = "float64") -> Any:
        """Standard normal draws."""
        return self._convert(self._generator.standard_normal(shape).astype(dtype))

    def uniform(self, shape: tuple[int, ...], dtype: str = "float64") -> Any:
        """Uniform draws in [0, 1)."""
        return self._convert(self._generator.random(shape, dtype=np.dtype(dtype)))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Any:
        """Integers in [low, high), int64."""
        return self._convert(self._generator.integers(low, high, shape))
