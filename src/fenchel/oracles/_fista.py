"""The prox-linear problem by accelerated proximal ascent on its dual, with restarts."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..random import RandomStream
from ._batch import Array, Model, Vector
from ._conclude import conclude, still_open
from ._loop import iterate
from ._oracle import Found

__all__ = ["fista"]

_POWER_STEPS = 8
_MARGIN = 1.05


class _State(NamedTuple):
    count: Any
    dual: Array
    image: Array  # J d(dual)
    d: Vector
    before: Array  # the last dual, and its image
    image_before: Array
    momentum: Array
    bound: Array  # on the largest eigenvalue of K omega
    gap: Array
    change: Array
    moving: Array


def fista(model: Model, start: Array | None, *, max_iter: int, rtol: float) -> Found:
    """Solve the prox-linear problem of any loss with a proximal point of its conjugate.

    A step costs one pull and one push. The bound on the curvature of the dual is estimated by
    power iteration; a step that shows it to be too low raises it and is taken again.
    """
    xp, f, inner = model.backend.namespace, model.outputs, model.inner
    eps = float(xp.finfo(f.dtype).eps)

    def going(s: _State) -> Any:
        return (s.count < max_iter) & s.moving & still_open(s.gap, s.change, rtol)

    def step(s: _State) -> _State:
        momentum = 0.5 * (1.0 + xp.sqrt(1.0 + 4.0 * s.momentum * s.momentum))
        ahead = (s.momentum - 1.0) / momentum
        point = s.dual + ahead * (s.dual - s.before)
        image_there = s.image + ahead * (s.image - s.image_before)
        tau = xp.zeros_like(f[:, :1]) + s.bound
        dual = model.rows.prox(f + image_there, point, tau)
        d = model.direction(dual)
        image = model.line.push(d)
        moved = dual - point
        length = inner(moved, moved)
        bend = -inner(moved, image - image_there)
        fits = bend <= s.bound * length * (1.0 + 16.0 * eps)
        uphill = inner(moved, dual - s.dual) < 0
        change, gap = _values(model, dual, d, image)
        some = xp.where(length > 0, length, xp.ones_like(length))
        raised = xp.maximum(_MARGIN * bend / some, s.bound)
        moving = ~fits | (length > eps**2 * (inner(dual, dual) + eps))

        def chosen(new: Array, old: Array) -> Array:
            return xp.where(fits, new, old)

        return _State(
            s.count + 1,
            chosen(dual, s.dual),
            chosen(image, s.image),
            [chosen(x, y) for x, y in zip(d, s.d, strict=True)],
            chosen(s.dual, s.before),
            chosen(s.image, s.image_before),
            chosen(xp.where(uphill, xp.ones_like(momentum), momentum), s.momentum),
            chosen(s.bound, raised),
            chosen(gap, s.gap),
            chosen(change, s.change),
            moving,
        )

    dual = model.slopes if start is None else start
    d = model.direction(dual)
    image = model.line.push(d)
    change, gap = _values(model, dual, d, image)
    one = xp.ones_like(gap)
    first = _State(
        0, dual, image, d, dual, image, one, _MARGIN * _largest(model), gap, change, one > 0
    )
    last = iterate(model.backend, going, step, first, gap)
    floor = last.gap - last.change
    return conclude(model, last.dual, last.d, last.image, floor, last.count)


def _values(model: Model, dual: Array, d: Vector, image: Array) -> tuple[Array, Array]:
    """Return P(d) - P(0), and the duality gap of a dual point and its direction."""
    z = model.outputs + image
    return model.change(z, d), model.total(model.rows.gaps(z, dual))


def _largest(model: Model) -> Array:
    """Return the largest eigenvalue of K omega, from below, by power iteration."""
    xp, f = model.backend.namespace, model.outputs
    v = RandomStream(0).normal(tuple(f.shape), like=f)
    value = model.inner(v, v)
    for _ in range(_POWER_STEPS):
        v = v / xp.sqrt(model.inner(v, v))
        v = model.line.push(model.near.solve(model.pull(v)))
        value = xp.sqrt(model.inner(v, v))
        v = xp.where(value > 0, v, xp.ones_like(v))
    return xp.where(value > 0, value, xp.ones_like(value))
