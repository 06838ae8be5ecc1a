"""What every tuner does: look at the objective, follow the base, and move by a learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import backend_of
from ..trees import is_array, leaves
from ..trees import map as map_leaves
from ._directions import Course, course_of, full_step
from ._point import Point, Unit, inner, move, normalised, point_at, size_of
from .bases import GradientDescent
from .info import Flags, Info

__all__ = ["Stage", "chosen_tree", "finish", "no_flags", "stage_at"]

Tree = Any
Scalar = Any


class Stage(NamedTuple):
    """The objective at the incoming parameters, and the direction of the base from there.

    `slope` is -<g, u> / scale for the direction u = scale * unit; `healthy` says whether gradient
    and direction are finite.
    """

    point: Point
    course: Course
    unit: Unit
    slope: Scalar
    healthy: Scalar
    base: Any  # the state of the base before

    @property
    def ops(self) -> Any:
        """Arithmetic of scalars."""
        return self.point.ops

    def at(self, rate: Scalar) -> Tree:
        """Return the parameters along the direction, the decay of the weights left out."""
        return move(self.ops, self.point.params, rate, self.course.direction)

    def value_at(self, rate: Scalar) -> Scalar:
        """Return the objective along the direction; no evaluation for a step known to be 0."""
        if not self.ops.traced and rate == 0.0:
            return self.point.value
        return self.ops.number(self.point.f(self.at(rate)))

    def longest_decay(self) -> Scalar | None:
        """Return the learning rate at which the decay takes all of the weights, None without."""
        if self.course.decay is None:
            return None
        ops = self.ops
        size = size_of(ops, self.course.decay)
        positive = size > 0
        ratio = size_of(ops, self.point.params) / ops.where(positive, size, 1.0)
        return ops.where(positive, ratio, float("inf"))


def stage_at(
    base: Any,
    objective: Callable[..., Any],
    params: Tree,
    base_state: Any,
    data: tuple[Any, ...],
    clock: Scalar,
    *,
    pullback: bool = False,
    known: tuple[Any, Any, Any] | None = None,
) -> Stage:
    """Return the stage of a step; `clock` is a scalar of the tuner's state."""
    point = point_at(objective, params, data, clock, pullback=pullback, known=known)
    ops = point.ops
    course = course_of(base, point.gradient, base_state, point.params, data)
    steepest = isinstance(base, GradientDescent)
    size = point.grad_norm if steepest else size_of(ops, course.direction)
    unit = normalised(ops, course.direction, size)
    if steepest and ops.traced:  # a pass over the memory less; exact to rounding
        slope = size * (size / unit.scale)
    else:
        slope = -inner(ops, point.gradient, unit.direction)
    healthy = ops.is_finite(point.grad_norm) & ops.is_finite(unit.size)
    return Stage(point, course, unit, slope, healthy, base_state)


def no_flags(ops: Any) -> Flags:
    """Return flags that say that nothing happened."""
    no = ops.truth(False)
    return Flags(no, no, no, no, no, ops.counted(False))


def finish(
    stage: Stage, rate: Scalar, taken: Scalar, denominator: Scalar, flags: Flags
) -> tuple[Tree, Any, Info]:
    """Return the new parameters, the new state of the base, and the report of a step.

    `denominator` is that of the direction itself. A step that is not taken leaves the parameters;
    one from a gradient that is not finite leaves the state of the base too.
    """
    ops, point = stage.ops, stage.point
    taken = taken & stage.healthy
    params = move(ops, point.params, rate, full_step(stage.course), taken)
    base = chosen_tree(ops, stage.healthy, stage.course.state, stage.base)
    numerator = ops.maximum(stage.slope, 0.0) * stage.unit.scale
    broken = ops.negation(stage.healthy & ops.is_finite(point.value))
    numbers = point.holder.numbers(
        point.value,
        point.grad_norm,
        ops.where(taken, rate, 0.0),
        ops.where(stage.slope == stage.slope, numerator, stage.slope),
        denominator,
    )
    truths = point.holder.truths(
        flags.ascent | (stage.slope < 0),
        flags.flat,
        flags.capped,
        flags.non_finite | broken,
        flags.skipped | ops.negation(taken),
    )
    (refused,) = point.holder.counts(flags.backtracks)
    return params, base, Info._make((*numbers, Flags._make((*truths, refused))))


def chosen_tree(ops: Any, condition: Scalar, new: Any, old: Any) -> Any:
    """Return one of two states, leaf by leaf where the condition is an array."""
    if not ops.traced:
        return new if condition else old
    if not leaves(new):
        return new

    def leaf(a: Any, b: Any) -> Any:
        return backend_of(a, b).namespace.where(condition, a, b) if is_array(a) else a

    return map_leaves(leaf, new, old)
