"""Normal numbers of a `RandomStream`, and steps of samplers, on plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import cpu_function, numba_found
from .rows import flatten

__all__ = ["mixture_step", "network_step", "stream_normals"]

Array = NDArray[Any]
_REAL = (np.dtype(np.float32), np.dtype(np.float64))


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
        cpu_function("philox", "philox_normals")(places, rows)
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
    source = _source(x, noise)
    if source is None:
        return None
    place, given = source
    y = np.empty(x.shape, x.dtype)
    if y.size:
        arrays, params = (
            (flatten(x), flatten(means), flatten(logits)[0]),
            np.asarray(numbers, float),
        )
        if place is None:
            cpu_function("langevin", "langevin_mixture_noise")(*arrays, given, params, y)
        else:
            cpu_function("langevin", "langevin_mixture")(*arrays, place, params, y)
    return y


def network_step(
    x: Array,
    layers: Sequence[tuple[Array, Array]],
    numbers: tuple[float, float, float],
    noise: Any,
) -> Array | None:
    """Return particles after a Langevin step of a network; None where the formula must serve.

    Parameters
    ----------
    x : ndarray (n, d)
        Particles, float32 or float64.
    layers : sequence of pairs
        Weights (before, after) and biases (after,); tanh stands between them, the last has one
        output.
    numbers : tuple of float
        Step size, scale of the noise, weight of |x|^2 / 2 in the energy.
    noise : ndarray (n, d) or RandomStream
        Normal numbers, or where they come from.

    Returns
    -------
    ndarray (n, d) or None
        ``x - step * gradient + scale * noise``.

    Examples
    --------
    >>> layers = [(np.ones((2, 1)), np.zeros(1))]
    >>> network_step(np.ones((1, 2)), layers, (0.5, 0.0, 1.0), np.zeros((1, 2)))
    array([[0., 0.]])
    """
    if x.dtype not in _REAL or x.ndim != 2 or not _blas_found():
        return None
    widths = (x.shape[1], *(bias.shape[-1] for _, bias in layers))
    for (weight, bias), a, b in zip(layers, widths[:-1], widths[1:], strict=True):
        if (
            weight.shape != (a, b)
            or bias.shape != (b,)
            or not x.dtype == weight.dtype == bias.dtype
        ):
            return None
    source = _source(x, noise)
    if source is None or widths[-1] != 1:
        return None
    place, given = source
    y = np.empty(x.shape, x.dtype)
    if y.size:
        flat = np.concatenate([part.reshape(-1) for layer in layers for part in layer])
        turned = np.concatenate(
            [part for weight, bias in layers for part in (weight.T.reshape(-1), bias)]
        )
        none = np.empty((0, x.shape[1]), x.dtype)
        cpu_function("langevin_mlp", "langevin_mlp")(
            flatten(x),
            flat,
            turned,
            np.asarray(widths, np.int64),
            np.zeros(4, np.uint64) if place is None else place,
            none if given is None else given,
            np.asarray(numbers, np.float64),
            y,
        )
    return y


@cache
def _blas_found() -> bool:
    """Whether numba can call the matrix products of BLAS, which SciPy brings."""
    return numba_found() and find_spec("scipy") is not None


def _source(x: Array, noise: Any) -> tuple[Array | None, Array | None] | None:
    """Return where noise comes from, the place of a stream or an array; None if from neither."""
    if isinstance(noise, np.ndarray):
        fits = noise.dtype == x.dtype and noise.shape == x.shape
        return (None, flatten(noise)) if fits else None
    places = _places(noise)
    if places.shape[0] == 1:
        return places[0], None
    drawn = stream_normals(noise, x.shape, x.dtype)  # streams of several batches
    return None if drawn is None else (None, drawn)
