"""A learning rate known in advance: a number, or a function of the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from ..arrays import check_number
from ._directions import check_base, start
from ._scalars import Holder
from ._stage import finish, no_flags, stage_at
from .bases import GradientDescent
from .info import Info

__all__ = ["Constant", "ConstantState"]

Tree = Any
Scalar = Any


class ConstantState(NamedTuple):
    """State of `Constant`: that of the base, and the number of steps.

    Examples
    --------
    >>> import numpy as np
    >>> Constant(0.1).init(np.asarray([1.0])).count
    array(0, dtype=int32)
    """

    base: Any
    count: Scalar


@dataclass(frozen=True)
class Constant:
    """A constant learning rate, or a schedule.

    Parameters
    ----------
    learning_rate
        Number, or function of the step t = 0, 1, ... such as those of this package; it is given a
        Python integer, or a floating array of shape () inside jit.
    base
        As for `CDAT`.

    Raises
    ------
    TypeError
        If `learning_rate` is neither a number nor a function.

    Notes
    -----
    `info.denominator` is NaN. *Derivatives*: a step is a constant of differentiation.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = Constant(0.25), np.asarray([1.0])
    >>> tuner.step(lambda w: np.sum(w**2), w, tuner.init(w))[0]
    array([0.5])
    """

    learning_rate: float | Callable[[Any], Any]
    _: KW_ONLY
    base: Any = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            check_number("learning_rate", self.learning_rate, maximum=1e300)
        check_base(self.base)

    def init(self, params: Tree) -> ConstantState:
        """Return the state before the first step."""
        (zero,) = Holder.like(params).counts(0)
        return ConstantState(start(self.base, params), zero)

    def step(
        self, objective: Callable[..., Any], params: Tree, state: ConstantState, *data: Any
    ) -> tuple[Tree, ConstantState, Info]:
        """Take one step; as `CDAT.step`."""
        stage = stage_at(self.base, objective, params, state.base, data, state.count)
        ops = stage.ops
        rate = self.learning_rate
        if callable(rate):
            rate = rate(ops.number(state.count) if ops.traced else int(state.count))
        nothing = ops.number(float("nan"))
        new, base, info = finish(stage, ops.number(rate), ops.truth(True), nothing, no_flags(ops))
        (count,) = stage.point.holder.counts(state.count + 1)
        return new, ConstantState(base, count), info
