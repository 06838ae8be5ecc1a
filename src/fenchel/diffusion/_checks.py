"""Checks of what samplers and estimators are given."""

from __future__ import annotations

from math import prod
from typing import Any

from ..arrays import check_dtype
from ..backend import Backend
from ..parameters import check_array

__all__ = ["check_function", "check_noise", "check_particles", "check_shapes", "check_weights"]

Array = Any


def check_particles(name: str, x: Array, backend: Backend, shape: tuple[int, ...]) -> None:
    """Raise unless `x` is a floating array of some library and shape."""
    check_array(name, x, backend)
    check_dtype(name, x)
    if tuple(x.shape) != shape:
        raise ValueError(f"`{name}` must have shape {shape}; got {tuple(x.shape)}")


def check_noise(noise: Any, backend: Backend, shape: tuple[int, ...], *, pair: bool) -> None:
    """Raise unless `noise` is an array of some shape; with `pair`, it and one of fewer axes."""
    if not pair:
        check_particles("noise", noise, backend, shape)
        return
    if not isinstance(noise, tuple | list) or len(noise) != 2:
        kind = type(noise).__qualname__
        raise TypeError(f"`noise` must be a pair of normal and uniform numbers; got {kind}")
    normal, uniform = noise
    check_particles("noise[0]", normal, backend, shape)
    check_particles("noise[1]", uniform, backend, shape[: getattr(uniform, "ndim", 0)])


def check_function(name: str, f: Any) -> None:
    """Raise TypeError unless `f` can be called."""
    if not callable(f):
        raise TypeError(f"`{name}` must be a function; got {type(f).__qualname__}")


def check_shapes(x: Array, f: Array) -> None:
    """Raise ValueError unless `f` holds one value a particle, and there is a particle."""
    if f.ndim == 0 or tuple(x.shape[: f.ndim]) != tuple(f.shape):
        raise ValueError(
            "`values` must have one number a particle, of a shape that begins that of the "
            f"particles {tuple(x.shape)}; got {tuple(f.shape)}"
        )
    if f.shape[-1] == 0:
        raise ValueError(f"`particles` must not be empty; got shape {tuple(x.shape)}")


def check_weights(backend: Backend, weights: Array, shape: tuple[int, ...]) -> None:
    """Raise unless `weights` are weights of values of some shape, as far as they are known."""
    check_array("weights", weights, backend)
    check_dtype("weights", weights)
    given, xp = tuple(weights.shape), backend.namespace
    if not given or given[-1] != shape[-1] or len(given) > len(shape):
        raise ValueError(f"`weights` must have shape {shape}; got {given}")
    if any(a not in (1, b) for a, b in zip(given[::-1], shape[::-1], strict=False)):
        raise ValueError(f"`weights` must broadcast to the shape {shape}; got {given}")
    sound = xp.logical_and(weights >= 0, xp.isfinite(weights))
    if backend.is_traced(sound):  # known weights inside jit are looked at there as well
        return
    if not bool(xp.all(sound)):
        count = int(xp.sum(xp.astype(~sound, xp.int32)))
        raise ValueError(
            f"`weights` must be finite and at least 0; got {count} of {prod(given)} that are not"
        )
    if not bool(xp.all(xp.any(weights > 0, axis=-1))):
        raise ValueError("`weights` must not all be 0: no particle counts")
