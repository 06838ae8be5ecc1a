"""Particles made with other parameters: weights, and how many particles they leave."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, check_number, narrow, widen
from ..autodiff import stop_gradient
from ..backend import Backend, backend_of
from ..parameters import check_array
from ..special import logsumexp
from ..trees import is_array
from ._checks import check_weights

__all__ = ["effective_sample_size", "importance_weights", "log_tilt", "resample", "shares_of"]

Array = Any
Tree = Any


def importance_weights(
    energy: Any, particles: Array, old: Tree, new: Tree, /, *, temperature: float = 1.0
) -> Array:
    """Return weights that make particles of one law stand for that of other parameters.

    They are proportional to exp((V(x, old) - V(x, new)) / temperature), and found in the log
    domain.

    Parameters
    ----------
    energy
        An `Energy`.
    particles
        Of shape (..., n, *event), made with the parameters `old`.
    old, new
        Parameters.
    temperature
        Of both laws, above 0.

    Returns
    -------
    array
        Of shape (..., n), with sum 1 along the last axis.

    Raises
    ------
    ValueError
        If the temperature is not positive.

    Notes
    -----
    *Derivatives*: smooth in `old`, `new` and the particles.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> x = np.asarray([[-1.0], [1.0]])
    >>> importance_weights(energy, x, np.zeros(1), np.ones(1)).round(3).tolist()
    [0.119, 0.881]
    """
    check_number("temperature", temperature, above=0.0)
    if not is_array(particles):
        raise TypeError(f"`particles` must be an array; got {type(particles).__qualname__}")
    shares = shares_of(log_tilt(energy, particles, old, new, temperature))
    xp, info = backend_of(shares).namespace, check_dtype("particles", particles)
    return narrow(xp, shares, info, particles.dtype)


def log_tilt(energy: Any, x: Array, old: Tree, new: Tree, temperature: float) -> Array:
    """Return (V(x, old) - V(x, new)) / temperature, float32 for half types."""
    before, after = energy(x, old), energy(x, new)
    xp = backend_of(before, after).namespace
    info = check_dtype("energy(x, params)", before)
    return (widen(xp, before, info) - widen(xp, after, info)) * (1.0 / temperature)


def shares_of(log_weights: Array) -> Array:
    """Return the weights, with sum 1, of their logarithms."""
    xp = backend_of(log_weights).namespace
    return xp.exp(log_weights - logsumexp(log_weights, axis=-1, keepdims=True))


def effective_sample_size(weights: Array, /) -> Array:
    """Return the share of the particles that weights leave: (sum w)^2 / (n sum w^2).

    Parameters
    ----------
    weights
        Not negative, of shape (..., n).

    Returns
    -------
    array
        Of shape (...), in [1/n, 1]; 1 for equal weights, 0 where all are 0.

    Raises
    ------
    TypeError
        If `weights` is no floating array.
    ValueError
        If there is no particle.

    Notes
    -----
    *Derivatives*: smooth in the weights.

    Examples
    --------
    >>> import numpy as np
    >>> float(effective_sample_size(np.asarray([1.0, 1.0, 0.0, 0.0])))
    0.5
    """
    if not is_array(weights):
        raise TypeError(f"`weights` must be an array; got {type(weights).__qualname__}")
    if weights.ndim == 0 or weights.shape[-1] == 0:
        raise ValueError(f"`weights` must not be empty; got shape {tuple(weights.shape)}")
    xp = backend_of(weights).namespace
    info = check_dtype("weights", weights)
    wide = widen(xp, weights, info)
    largest = xp.max(wide, axis=-1, keepdims=True)
    wide = wide / xp.where(largest == 0, xp.ones_like(largest), largest)
    total, squares = xp.sum(wide, axis=-1), xp.sum(wide * wide, axis=-1)
    some = xp.where(squares == 0, xp.ones_like(squares), squares)
    share = total * total / (wide.shape[-1] * some)
    return narrow(xp, share, info, weights.dtype)


def resample(particles: Array, weights: Array, uniform: Array, /) -> Array:
    """Return particles drawn by their weights, at evenly spaced points of the total (systematic).

    Parameters
    ----------
    particles
        Of shape (n, *event).
    weights
        Of shape (n,), not negative, not all 0.
    uniform
        One number in [0, 1): a Python number, or an array of shape ().

    Returns
    -------
    array
        Like `particles`: one with share w_i comes floor(n w_i) or ceil(n w_i) times, in order.

    Raises
    ------
    TypeError
        If particles or weights are no arrays of one library.
    ValueError
        If there is no particle, there are not as many weights, one is negative or all are 0, or
        `uniform` is outside [0, 1).

    Notes
    -----
    *Derivatives*: in the particles; none in the weights.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([10.0, 20.0, 30.0])
    >>> resample(x, np.asarray([0.0, 2.0, 1.0]), np.asarray(0.5)).tolist()
    [20.0, 20.0, 30.0]
    """
    if not is_array(particles):
        raise TypeError(f"`particles` must be an array; got {type(particles).__qualname__}")
    if particles.ndim == 0 or particles.shape[0] == 0:
        raise ValueError(f"`particles` must not be empty; got shape {tuple(particles.shape)}")
    backend = backend_of(particles)
    xp, count = backend.namespace, particles.shape[0]
    check_weights(backend, weights, (count,))
    wide = stop_gradient(widen(xp, weights, check_dtype("weights", weights)))
    edges = xp.cumulative_sum(wide)
    spaced = xp.arange(count, dtype=wide.dtype, device=backend.device_of(wide))
    points = (spaced + _offset(backend, uniform, wide)) * (edges[-1] / count)
    # Rounding may put the last point at the total.
    found = xp.searchsorted(edges[:-1], points, side="right")
    return xp.take(particles, found, axis=0)


def _offset(backend: Backend, uniform: Any, like: Array) -> Any:
    """Return where the first of the evenly spaced points is, a number in [0, 1)."""
    if not hasattr(uniform, "dtype"):
        number = check_number("uniform", uniform, minimum=0.0)
        if not number < 1.0:
            raise ValueError(f"`uniform` must be below 1; got uniform={number:g}")
        return number
    check_array("uniform", uniform, backend)
    if tuple(uniform.shape):
        raise ValueError(f"`uniform` must have shape (); got {tuple(uniform.shape)}")
    return backend.namespace.astype(uniform, like.dtype)
