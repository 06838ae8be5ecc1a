"""Losses that pull log-ratios to a value rather than to infinity."""

from __future__ import annotations

from typing import Any

from ._record import PairLoss

__all__ = ["LOSSES"]

Array = Any
Slopes = tuple[Array, Array]


def ipo(a: Array, b: Array, beta: Any) -> Array:
    """Return (a - b - 1/(2 beta))^2, arXiv 2310.12036."""
    return (a - b - 0.5 / beta) ** 2


def ipo_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return 2 (a - b - 1/(2 beta)), and its opposite."""
    slope = 2.0 * (a - b - 0.5 / beta)
    return slope, -slope


def sppo(a: Array, b: Array, beta: Any) -> Array:
    """Return (a - 1/(2 beta))^2 + (b + 1/(2 beta))^2, arXiv 2405.00675."""
    return (a - 0.5 / beta) ** 2 + (b + 0.5 / beta) ** 2


def sppo_slopes(a: Array, b: Array, beta: Any) -> Slopes:
    """Return 2 (a - 1/(2 beta)) and 2 (b + 1/(2 beta))."""
    return 2.0 * (a - 0.5 / beta), 2.0 * (b + 0.5 / beta)


LOSSES = {
    "ipo": PairLoss(ipo, ipo_slopes),
    "sppo": PairLoss(sppo, sppo_slopes, difference=False, aliases=("sppo_hard",)),
}
