"""Polyak's learning rate: what is left to gain, over the slope."""

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

__all__ = ["Polyak", "PolyakState"]

Tree = Any
Scalar = Any


class PolyakState(NamedTuple):
    """State of `Polyak`: that of the base, and the last learning rate.

    Examples
    --------
    >>> import numpy as np
    >>> Polyak().init(np.asarray([1.0])).learning_rate
    array(0.)
    """

    base: Any
    learning_rate: Scalar


@dataclass(frozen=True)
class Polyak:
    """Stochastic Polyak learning rate, scaling * min((f - f_min) / (-<g, u> + eps), max).

    Parameters
    ----------
    scaling
        Multiplies the bounded ratio; for gradient descent -<g, u> is the squared gradient norm.
    f_min
        Lower bound of the objective.
    max_learning_rate
        Bound of the ratio.
    eps
        Added to the denominator.
    clip
        Whether f - f_min counts as 0 where it is negative; else the step goes uphill there.
    base
        As for `CDAT`.

    Raises
    ------
    ValueError
        If an option lies outside its range.

    Notes
    -----
    Where the slope is 0 or points uphill the learning rate is 0. A ratio that is not finite, for
    want of slope, is bounded by `max_learning_rate`, flagged `flat` if that is infinite.

    *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    N. Loizou et al., "Stochastic Polyak Step-size for SGD", AISTATS 2021, arXiv 2002.10542.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = Polyak(0.5), np.asarray([4.0])
    >>> new, state, info = tuner.step(lambda w: np.sum(w**2) / 2, w, tuner.init(w))
    >>> float(info.learning_rate), new
    (0.25, array([3.]))
    """

    scaling: float = 1.0
    _: KW_ONLY
    f_min: float = 0.0
    max_learning_rate: float = 1.0
    eps: float = 0.0
    clip: bool = True
    base: Any = field(default_factory=GradientDescent)

    def __post_init__(self) -> None:
        check_number("scaling", self.scaling, minimum=0.0, maximum=1e300)
        check_number("f_min", self.f_min)
        check_number("max_learning_rate", self.max_learning_rate, above=0.0)
        check_number("eps", self.eps, minimum=0.0, maximum=1e300)
        check_base(self.base)

    def init(self, params: Tree) -> PolyakState:
        """Return the state before the first step."""
        (zero,) = Holder.like(params).numbers(0.0)
        return PolyakState(start(self.base, params), zero)

    def step(
        self, objective: Callable[..., Any], params: Tree, state: PolyakState, *data: Any
    ) -> tuple[Tree, PolyakState, Info]:
        """Take one step; as `CDAT.step`."""
        stage = stage_at(self.base, objective, params, state.base, data, state.learning_rate)
        ops, unit, value = stage.ops, stage.unit, stage.point.value
        gap = value - self.f_min
        gap = ops.maximum(gap, 0.0) if self.clip else gap
        slope = ops.maximum(stage.slope, 0.0)
        below = slope + self.eps / unit.scale if self.eps else slope
        positive = below > 0
        ratio = gap / ops.where(positive, below, 1.0) * (1.0 / unit.scale)
        previous = ops.number(state.learning_rate)
        finite = ops.is_finite(value) & ops.is_finite(stage.slope)
        raw = ops.where(positive & (slope > 0), ratio, 0.0)
        rate = self.scaling * ops.minimum(raw, self.max_learning_rate)
        flat = finite & ops.negation(ops.is_finite(rate))
        rate = ops.where(finite, ops.where(flat, previous, rate), 0.5 * previous)
        flags = no_flags(ops)._replace(
            flat=flat,
            capped=finite & (raw > self.max_learning_rate),
            non_finite=ops.negation(finite),
        )
        new, base, info = finish(stage, rate, ops.truth(True), below * unit.scale, flags)
        (last,) = stage.point.holder.numbers(rate)
        return new, PolyakState(base, last), info
