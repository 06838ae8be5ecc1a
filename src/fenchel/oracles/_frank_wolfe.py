"""The prox-linear problem by Frank and Wolfe's method on its dual."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._batch import Array, Model, Vector
from ._conclude import conclude, still_open
from ._loop import iterate
from ._oracle import Found

__all__ = ["frank_wolfe"]


class _State(NamedTuple):
    count: Any
    dual: Array
    d: Vector
    image: Array
    gap: Array
    change: Array
    moving: Array


def frank_wolfe(model: Model, start: Array | None, *, max_iter: int, rtol: float) -> Found:
    """Solve the prox-linear problem, towards grad h(f + J d) in every step.

    That point maximises the dual with its quadratic made linear: a vertex, for the hinge. The gain
    of that step is the duality gap, and the length below maximises a bound on the dual, which is
    exact where the conjugate is linear between the points.
    """
    xp, f, near = model.backend.namespace, model.outputs, model.near

    def at(count: Any, dual: Array, d: Vector, image: Array, moving: Array) -> _State:
        z = f + image
        gap = model.total(model.rows.gaps(z, dual))
        return _State(count, dual, d, image, gap, model.change(z, d), moving)

    def going(s: _State) -> Any:
        return (s.count < max_iter) & s.moving & still_open(s.gap, s.change, rtol)

    def step(s: _State) -> _State:
        towards = model.rows.gradient(f + s.image)
        across = model.direction(towards)
        across = [x - y for x, y in zip(across, s.d, strict=True)]
        bend = near.square(across)
        curved = bend > 0
        length = s.gap / xp.where(curved, bend, xp.ones_like(bend))
        length = xp.where(curved & (length < 1), length, xp.ones_like(length))
        length = xp.maximum(length, xp.zeros_like(length))
        d = [x + length * y for x, y in zip(s.d, across, strict=True)]
        dual = s.dual + length * (towards - s.dual)
        image = s.image + length * model.line.push(across)
        return at(s.count + 1, dual, d, image, curved & (length > 0))

    dual = model.slopes if start is None else start
    d = model.direction(dual)
    first = at(0, dual, d, model.line.push(d), model.start == model.start)
    last = iterate(model.backend, going, step, first, model.start)
    floor = last.gap - last.change
    return conclude(model, last.dual, last.d, last.image, floor, last.count)
