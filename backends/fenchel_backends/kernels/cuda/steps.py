"""Steps of samplers on CUDA devices, for arrays of CuPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loader import function_of, imported_cupy, shared_params

__all__ = ["cupy_mixture_step"]

Array = Any

_DTYPES = ("float32", "float64")
_THREADS = 128
_BLOCKS = 4096


def _places(stream: Any) -> Array:
    """Return seed, step, slot and number of streams on the device, a row each; nothing waits."""
    cupy = imported_cupy()
    step, number = cupy.asarray(stream.step), cupy.asarray(stream.stream)
    places = cupy.empty((max(step.size, number.size), 4), np.uint64)
    for column, value in enumerate((np.uint64(stream.seed), step, stream.slot, number)):
        places[:, column] = value
    return places


def cupy_mixture_step(
    x: Array,
    means: Array,
    logits: Array,
    numbers: tuple[float, float, float],
    noise: Any,
) -> Array | None:
    """Return particles after a Langevin step of a mixture; None where the formula must serve.

    Parameters
    ----------
    x, means, logits, numbers, noise
        As for `streams.mixture_step`, on one device.

    Returns
    -------
    cupy.ndarray (n, d) or None
        ``x - step * gradient + scale * noise``.
    """
    cupy = imported_cupy()
    if x.ndim != 2 or logits.ndim != 1 or x.dtype.name not in _DTYPES:
        return None
    if not x.dtype == means.dtype == logits.dtype:
        return None
    given = isinstance(noise, cupy.ndarray)
    if given and (noise.dtype != x.dtype or noise.shape != x.shape):
        return None
    with x.device:
        y = cupy.empty(x.shape, x.dtype)
        if not y.size:
            return y
        null = np.uint64(0)
        places: Any = null if given else _places(noise)
        count = 1 if given else places.shape[0]
        n, d = x.shape
        arguments = (
            np.int64(n),
            np.int32(d),
            shared_params(tuple(map(float, numbers)), x.dtype.name, x.device.id),
            np.int32(1),
            np.int32(3),
            null,
            np.int64(0),
            cupy.ascontiguousarray(x),
            cupy.ascontiguousarray(means),
            cupy.ascontiguousarray(logits),
            np.int32(logits.size),
            cupy.ascontiguousarray(noise) if given else null,
            places,
            np.int32(count),
            y,
        )
        grid = min(-(-n // _THREADS), _BLOCKS)
        function_of("langevin_mixture", x.dtype.name)((grid,), (_THREADS,), arguments)
    return y
