"""Losses that vanish from a margin of 1 on, z = beta (a - b)."""

from __future__ import annotations

from typing import Any

from ...backend import namespace
from ._record import PairLoss

__all__ = ["LOSSES"]

Array = Any
Slopes = tuple[Array, Array]


def _lack(a: Array, b: Array, beta: Any) -> Array:
    """Return max(0, 1 - z), with derivative 0 at z = 1."""
    xp, z = namespace(a), beta * (a - b)
    reached = z >= 1.0
    return xp.where(reached, xp.zeros_like(z), 1.0 - xp.where(reached, xp.zeros_like(z), z))


def slic(a: Array, b: Array, beta: Any) -> Array:
    """Return max(0, 1 - z), arXiv 2305.10425."""
    return _lack(a, b, beta)


def slic_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return -beta where z < 1, and its opposite."""
    xp, z = namespace(a), beta * (a - b)
    on = xp.where(z >= 1.0, xp.zeros_like(z), xp.where(xp.isnan(z), z, xp.ones_like(z)))
    return -beta * on, beta * on


def squared_hinge(a: Array, b: Array, beta: Any) -> Array:
    """Return half the square of max(0, 1 - z)."""
    return 0.5 * _lack(a, b, beta) ** 2


def squared_hinge_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return -beta max(0, 1 - z), and its opposite."""
    slope = -beta * _lack(a, b, beta)
    return slope, -slope


LOSSES = {
    "slic": PairLoss(slic, slic_slopes, aliases=("hinge",)),
    "squared_hinge": PairLoss(squared_hinge, squared_hinge_slopes),
}
