"""The prox-linear problem by Newton's method: dual solves, and Armijo's rule on the model."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..trees import dot
from ._batch import Array, Model, Vector
from ._conclude import conclude, still_open
from ._dual_cg import Solution, dual_cg
from ._loop import iterate, rounding
from ._oracle import Found

__all__ = ["newton_cg"]

_INNER_STEPS = 10.0
_SHORT = 0.5
_INNER_RTOL = 1e-3
_HALVINGS = 30
_ARMIJO = 1e-4


class _State(NamedTuple):
    count: Any
    d: Vector
    image: Array
    slopes: Array  # grad h(f + J d)
    gradient: Vector  # of P at d
    gap: Array
    change: Array  # P(d) - P(0)
    moving: Array
    budget: Array  # steps of the next solve


def newton_cg(model: Model, start: Array | None, *, max_iter: int, rtol: float) -> Found:
    """Solve the prox-linear problem of a loss with curvature.

    The dual point grad h(f + J d) has the gap <G, N^-1 G>/2, of the gradient G of P.
    """
    xp, near, f = model.backend.namespace, model.near, model.outputs
    push = model.line.push

    def at(
        count: Any, d: Vector, image: Array, change: Array, moving: Array, budget: Array
    ) -> _State:
        slopes = model.rows.gradient(f + image)
        pulled = model.decayed(model.pull(slopes))
        gradient = [x + y for x, y in zip(pulled, near.apply(d), strict=True)]
        gap = 0.5 * near.dual_square(gradient)
        return _State(count, d, image, slopes, gradient, gap, change, moving, budget)

    def going(s: _State) -> Any:
        return (s.count < max_iter) & (s.gap > least) & still_open(s.gap, s.change, rtol) & s.moving

    def step(s: _State) -> _State:
        z = f + s.image
        solved = dual_cg(
            model,
            model.rows.curvature(z),
            s.gradient,
            max_iter=s.budget,
            rtol=_INNER_RTOL,
        )
        length, change, moving = _armijo(model, s, solved)
        d = [x + length * y for x, y in zip(s.d, solved.direction, strict=True)]
        # A short step tells of a solve cut short: with a large gamma little of it is of use.
        budget = xp.where(length < _SHORT, 2.0 * s.budget, s.budget)
        return at(s.count + 1, d, s.image + length * solved.image, change, moving, budget)

    zeros = [xp.zeros_like(x) for x in model.gradient]
    nothing, known = xp.zeros_like(f), model.start == model.start
    budget = _INNER_STEPS * xp.ones_like(model.start)
    first = at(0, zeros, nothing, 0.0 * model.start, known, budget)
    least = rounding(model.backend, first.gap) * first.gap
    if start is not None:
        d = model.direction(start)
        image = push(d)
        first = at(0, d, image, model.change(f + image, d), known, budget)
    last = iterate(model.backend, going, step, first, model.start)
    short = near.solve(last.gradient)
    d = [x - y for x, y in zip(last.d, short, strict=True)]  # the direction of the dual point
    image = last.image - push(short)
    # A unit gradient step away from the last iterate: taken if it loses no more than was asked for.
    room = max(rtol, 16.0 * float(xp.finfo(f.dtype).eps)) * (last.gap - last.change)
    safe = model.change(f + image, d) <= last.change + room
    d = [xp.where(safe, x, y) for x, y in zip(d, last.d, strict=True)]
    image = xp.where(safe, image, last.image)
    return conclude(model, last.slopes, d, image, last.gap - last.change, last.count)


def _armijo(model: Model, s: _State, solved: Solution) -> tuple[Array, Array, Array]:
    """Return length, P - P(0) there, and whether one was found, along a Newton direction.

    The first length tried minimises the quadratic model along it. That is 1 but where the solve was
    cut short: the direction may then be far too long, by orders of magnitude for a large gamma.
    """
    xp, f = model.backend.namespace, model.outputs
    d, image = solved.direction, solved.image
    slope = dot(s.gradient, d)
    bend = model.inner(image, solved.bent) + model.near.square(d)
    curved = bend > 0
    one = xp.ones_like(slope)
    best = xp.where(curved, -slope / xp.where(curved, bend, one), one)
    # Below this the change of the model is rounding.
    room = 8.0 * float(xp.finfo(f.dtype).eps) * (xp.abs(model.start) + xp.abs(s.change))

    def change(length: Any) -> Array:
        moved = [x + length * y for x, y in zip(s.d, d, strict=True)]
        return model.change(f + s.image + length * image, moved)

    def enough(length: Array, now: Array) -> Any:
        return now <= s.change + _ARMIJO * length * slope + room

    def going(state: Any) -> Any:
        count, length, now = state
        return (count < _HALVINGS) & ~enough(length, now)

    def halve(state: Any) -> Any:
        count, length, _ = state
        return count + 1, 0.5 * length, change(0.5 * length)

    _, length, now = iterate(model.backend, going, halve, (0, best, change(best)), slope)
    found = enough(length, now)
    zero = xp.zeros_like(length)
    return xp.where(found, length, zero), xp.where(found, now, s.change), found
