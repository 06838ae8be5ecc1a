"""The end of every prox-linear solve: a step that the model accepts, and the report."""

from __future__ import annotations

from typing import Any

from ._batch import Array, Model, Vector
from ._info import OracleInfo
from ._loop import iterate
from ._oracle import Found, slope_along

__all__ = ["conclude", "still_open"]

_HALVINGS = 60


def still_open(gap: Array, change: Array, rtol: float) -> Any:
    """Whether the gap is above its part of P(0) - D; always, of rtol 0."""
    # A sum of Fenchel-Young gaps rounds to 0 well before the direction is exact.
    return gap > rtol * (gap - change) if rtol > 0 else gap == gap


def conclude(
    model: Model, dual: Array, d: Vector, image: Array, floor: Array, iterations: Any
) -> Found:
    """Return `d`, halved until the model accepts it, with its info.

    Parameters
    ----------
    model
        The model.
    dual
        Dual point (m, k).
    d, image
        Direction, and J d.
    floor
        P(0) - D(dual).
    iterations
        Steps of the solver.
    """
    xp = model.backend.namespace
    f = model.outputs

    def change(theta: Any) -> Array:
        return model.change(f + theta * image, [theta * x for x in d])

    def going(state: Any) -> Any:
        count, _, now = state
        return (count < _HALVINGS) & ~(now <= 0)

    def step(state: Any) -> Any:
        count, theta, _ = state
        return count + 1, 0.5 * theta, change(0.5 * theta)

    one = xp.ones_like(floor)
    _, theta, now = iterate(model.backend, going, step, (0, one, change(one)), floor)
    accepted = now <= 0
    # A NaN among the arguments is one in the direction, and not a step that was refused.
    nothing = xp.where(model.start == model.start, xp.zeros_like(theta), xp.nan * theta)
    theta = xp.where(accepted, theta, nothing)
    now = xp.where(accepted, now, xp.zeros_like(now))
    d, image = [theta * x for x in d], theta * image
    slope = slope_along(model, d)
    gap = xp.maximum(now + floor, xp.zeros_like(now))
    info = OracleInfo(
        model.start + now, model.shaped(dual), gap, slope, -now, iterations, (slope < 0) & accepted
    )
    return Found(d, image, model.rows.curvature(f + image), info)
