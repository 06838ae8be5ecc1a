"""Normal numbers of a `RandomStream`, and steps of samplers, on plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rows import flatten, numba_found

__all__ = ["mixture_step", "stream_normals"]

Array = NDArray[Any]
_REAL = (np.dtype(np.float32), np.dtype(np.float64))


@cache
def _raw(module: str, name: str) -> Callable[..., None]:
    kernel: Callable[..., None] = getattr(import_module(f".cpu.{module}", __package__), name)
    return kernel


def _places(stream: Any) -> Array:
    """Return seed, step, slot and stream, a row for each stream."""
    step, number = np.asarray(stream.step), np.asarray(stream.stream)
    places = np.empty((*np.broadcast_shapes(step.shape, number.shape), 4), np.uint64)
    for column, value in enumerate((stream.seed, step, stream.slot, number)):
        places[..., column] = value
    return places.reshape(-1, 4)


def stream_normals(stream: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """Return the normal numbers of a stream; None without numba, and for other dtypes.

    Parameters
    ----------
    stream : RandomStream
        Its step and number may be NumPy arrays, which the shape then begins with.
    shape : tuple of int
        Of what is drawn.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray or None
        The numbers that `RandomStream.normal` defines.

    Examples
    --------
    >>> from fenchel.random import RandomStream
    >>> stream_normals(RandomStream(0), (2,), np.dtype("float64")).round(6).tolist()
    [-0.090473, -1.005132]
    """
    if dtype not in _REAL or not numba_found():
        return None
    places = _places(stream)
    out = np.empty(shape, dtype)
    if out.size:
        rows = out.reshape(places.shape[0], prod(shape) // places.shape[0])
        _raw("philox", "philox_normals")(places, rows)
    return out


def mixture_step(
    x: Array,
    means: Array,
    logits: Array,
    numbers: tuple[float, float, float],
    noise: Any,
) -> Array | None:
    """Return particles after a Langevin step of a mixture; None where the formula must serve.

    Parameters
    ----------
    x : ndarray (n, d)
        Particles, float32 or float64.
    means : ndarray (k, d)
        Of the components.
    logits : ndarray (k,)
        Of their weights.
    numbers : tuple of float
        Step size, scale of the noise, precision of the components.
    noise : ndarray (n, d) or RandomStream
        Normal numbers, or where they come from.

    Returns
    -------
    ndarray (n, d) or None
        ``x - step * gradient + scale * noise``.

    Examples
    --------
    >>> x, means = np.ones((1, 2)), np.zeros((1, 2))
    >>> mixture_step(x, means, np.zeros(1), (0.5, 0.0, 1.0), np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    if x.dtype not in _REAL or not numba_found():
        return None
    if x.ndim != 2 or logits.ndim != 1 or not x.dtype == means.dtype == logits.dtype:
        return None
    if isinstance(noise, np.ndarray):
        if noise.dtype != x.dtype or noise.shape != x.shape:
            return None
        source, kernel = flatten(noise), "langevin_mixture_noise"
    else:
        places = _places(noise)
        if places.shape[0] != 1:  # streams of several batches
            return mixture_step(x, means, logits, numbers, stream_normals(noise, x.shape, x.dtype))
        source, kernel = places[0], "langevin_mixture"
    y = np.empty(x.shape, x.dtype)
    if y.size:
        arrays = flatten(x), flatten(means), flatten(logits)[0]
        _raw("langevin", kernel)(*arrays, source, np.asarray(numbers, np.float64), y)
    return y
