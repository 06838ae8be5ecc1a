"""From what is given as a base to the direction of a step."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..trees import add

__all__ = ["Course", "check_base", "course_of", "full_step", "start"]

Tree = Any


class Course(NamedTuple):
    """Where a base points: what is measured, the decay of the weights apart, its new state."""

    direction: Tree
    decay: Tree | None
    state: Any


def check_base(base: Any) -> None:
    """Raise TypeError unless an object can give directions."""
    if not (hasattr(base, "update") or hasattr(base, "direction") or callable(base)):
        raise TypeError(
            "`base` must have `update` or `direction`, or be a function of the gradient; "
            f"got {type(base).__qualname__}"
        )


def start(base: Any, params: Tree) -> Any:
    """Return the first state of a base."""
    return base.init(params) if hasattr(base, "update") else ()


def course_of(base: Any, grad: Tree, state: Any, params: Tree, data: tuple[Any, ...]) -> Course:
    """Return the direction of a base at the parameters."""
    if hasattr(base, "split"):
        return Course(*base.split(grad, state, params))
    if hasattr(base, "update"):
        direction, state = base.update(grad, state, params)
        return Course(direction, None, state)
    if hasattr(base, "direction"):
        return Course(base.direction(params, *data)[0], None, state)
    return Course(base(grad), None, state)


def full_step(course: Course) -> Tree:
    """Return what a step of learning rate 1 adds."""
    return course.direction if course.decay is None else add(course.direction, course.decay)
