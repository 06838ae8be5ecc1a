"""Plane rotations, and phases that stay exact over many steps."""

from __future__ import annotations

from typing import Any

from ..contract import compiled
from ._numbers import as_dtype, identity

__all__ = ["block_diagonal", "pair_angles", "phase_cos_sin", "rotate_pairs"]

Array = Any


def pair_angles(xp: Any, angles: Array) -> Array:
    """Return angles (..., m) as conjugate pairs (..., 2 m): a, -a, b, -b, ..."""
    paired = xp.stack([angles, -angles], axis=-1)
    return xp.reshape(paired, (*angles.shape[:-1], 2 * angles.shape[-1]))


def block_diagonal(xp: Any, angles: Array, moduli: Array | float = 1.0) -> Array:
    """Return the matrices (..., 2 m, 2 m) that turn m planes, times a modulus each."""
    count = angles.shape[-1]
    cos, sin = moduli * xp.cos(angles), moduli * xp.sin(angles)
    block = xp.stack([xp.stack([cos, -sin], axis=-1), xp.stack([sin, cos], axis=-1)], axis=-2)
    eye = identity(xp, count, angles.dtype, getattr(angles, "device", None))
    # (..., plane, row, 1, column) against the plane of the column
    spread = xp.expand_dims(block, axis=-2) * eye[:, None, :, None]
    return xp.reshape(spread, (*angles.shape[:-1], 2 * count, 2 * count))


@compiled()
def phase_cos_sin(backend: Any, angles: Array, steps: Array) -> tuple[Array, Array]:
    r"""Return cos(t a) and sin(t a) for t in `steps` (T,) and angles (..., m), as (..., T, m).

    t a is the sum of t high, which is exact as the high part has half the bits, and t low, which is
    small: the error does not grow with t as that of the rounded product would.
    """
    xp = backend.namespace
    unit = 2.0**20 if angles.dtype == xp.float64 else 2.0**8
    high = xp.round(backend.stop_gradient(angles) * unit) / unit
    low = xp.expand_dims(angles - high, axis=-2)
    times = as_dtype(xp, steps, angles.dtype)[:, None]
    coarse, fine = times * xp.expand_dims(high, axis=-2), times * low
    c, s, cf, sf = xp.cos(coarse), xp.sin(coarse), xp.cos(fine), xp.sin(fine)
    return c * cf - s * sf, s * cf + c * sf


def rotate_pairs(xp: Any, cos: Array, sin: Array, start: Array) -> Array:
    """Turn the coordinate pairs of `start` (..., 2 m) by angles (..., T, m): (..., T, 2 m)."""
    pairs = xp.reshape(start, (*start.shape[:-1], 1, start.shape[-1] // 2, 2))
    x, y = pairs[..., 0], pairs[..., 1]
    turned = xp.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return xp.reshape(turned, (*turned.shape[:-2], 2 * turned.shape[-2]))
