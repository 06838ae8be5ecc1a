"""One face over every library's generator or key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import array_api_compat

from ..arrays import check_dtype, narrow, widen
from ..backend import backend_of
from .stream import RandomStream, below_one

__all__ = ["Sampler", "sampler"]

Array = Any
Shape = tuple[int, ...]


class Sampler:
    """Draws like an array, one after the other; see `sampler`."""

    def __init__(self, rng: Any, like: Array) -> None:
        backend = backend_of(like)
        like = backend.stop_gradient(like)
        self.backend = backend_of(like)  # of the plain array, where `like` was traced by the tape
        self.like = like
        self.info = check_dtype("like", like)
        self._stream = rng if isinstance(rng, RandomStream) else None
        self._inner: Any = None if self._stream is not None else self.backend.sampler(rng)

    def normal(self, shape: Shape) -> Array:
        """Return standard normal draws."""
        return self._draw("normal", shape)

    def uniform(self, shape: Shape) -> Array:
        """Return uniform draws in [0, 1)."""
        return self._draw("uniform", shape)

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        """Return integers in [low, high)."""
        xp = self.backend.namespace
        if self._stream is None:
            return self._placed(self._inner.integers(low, high, shape))
        # 24 or 53 bits: the product is below the bound after rounding as well
        scaled = xp.floor(self.wide_uniform(shape) * float(high - low))
        return xp.astype(scaled, self._integer_dtype()) + low

    def wide_uniform(self, shape: Shape) -> Array:
        """Return uniform draws in [0, 1), in float32 for the half types, which have few bits."""
        return self._draw("uniform", shape, wide=True)

    def narrowed(self, x: Array) -> Array:
        """Return an array in the dtype of the draws."""
        return narrow(self.backend.namespace, x, self.info, self.like.dtype)

    def _integer_dtype(self) -> Any:
        xp = self.backend.namespace
        return xp.arange(1, device=self.backend.device_of(self.like)).dtype

    def _draw(self, kind: str, shape: Shape, *, wide: bool = False) -> Array:
        xp, info = self.backend.namespace, self.info
        if self._stream is not None:
            like = widen(xp, self.like, info) if wide else self.like
            drawn = getattr(self._stream, kind)(shape, like=like)
            self._stream = replace(self._stream, slot=self._stream.slot + 1)
            return drawn
        dtype = xp.float32 if info.half else self.like.dtype
        if not self.backend.native_autodiff:  # NumPy draws, and knows the dtype by its name
            dtype = "float32" if info.half else info.name
        drawn = getattr(self._inner, kind)(tuple(shape), dtype)
        if wide:
            return self._placed(drawn)
        if kind == "uniform":
            drawn = below_one(xp, drawn, info)
        return self._placed(self.narrowed(drawn))

    def _placed(self, drawn: Array) -> Array:
        device = self.backend.device_of(self.like)
        if device is None or self.backend.device_of(drawn) == device:
            return drawn
        return array_api_compat.to_device(drawn, device)


def sampler(rng: Any, like: Array) -> Sampler:
    """Return an object that draws arrays like another one, fresh ones at every call.

    Parameters
    ----------
    rng
        Integer seed, `RandomStream`, or the library's own: a `numpy.random.Generator`, a
        `torch.Generator` (both advance), a JAX key (split at each draw), a sampler itself.
    like
        Array whose library, floating dtype and device the draws have.

    Returns
    -------
    Sampler
        With `normal(shape)`, `uniform(shape)` and `integers(low, high, shape)`.

    Raises
    ------
    TypeError
        If `rng` is none of these, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> draw = sampler(0, np.zeros(1))
    >>> draw.normal((2,)).shape, draw.uniform((3, 2)).shape
    ((2,), (3, 2))
    """
    return rng if isinstance(rng, Sampler) else Sampler(rng, like)
