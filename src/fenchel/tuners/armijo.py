"""Backtracking until the decrease is a share of what the slope promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from typing import Any, NamedTuple

from ..arrays import check_integer, check_number
from ._directions import check_base, start
from ._scalars import Holder
from ._stage import Stage, finish, no_flags, stage_at
from .bases import GradientDescent
from .info import Info

__all__ = ["Armijo", "ArmijoState"]

Tree = Any
Scalar = Any


class ArmijoState(NamedTuple):
    """State of `Armijo`: that of the base, and the learning rate that the next search grows.

    Examples
    --------
    >>> import numpy as np
    >>> Armijo().init(np.asarray([1.0])).learning_rate
    array(1.)
    """

    base: Any
    learning_rate: Scalar


@dataclass(frozen=True)
class Armijo:
    """The first learning rate tried with f(w + eta u) <= f + c1 eta <g, u>, up to tolerances.

    Parameters
    ----------
    base
        As for `CDAT`.
    c1
        Share of the decrease that the slope promises, in (0, 1).
    decrease_factor
        What a refused learning rate is multiplied by, in (0, 1).
    increase_factor
        The first trial is the last learning rate times this, at most `max_learning_rate`; infinity
        starts from `max_learning_rate` every time.
    max_learning_rate
        Bound, and the first trial of all.
    max_iter
        After this many refusals the step is skipped.
    rtol, atol
        An increase by ``rtol * |f| + atol`` is let pass.

    Raises
    ------
    ValueError
        If an option lies outside its range.

    Notes
    -----
    A learning rate that is used satisfies the inequality: where all trials fail, the step is
    skipped, and the next search starts from `max_learning_rate` again. Uphill directions are
    skipped too. `info.denominator` is NaN.

    *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    S. Vaswani et al., "Painless Stochastic Gradient: Interpolation, Line-Search, and Convergence
    Rates", NeurIPS 2019, arXiv 1905.09997.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = Armijo(decrease_factor=0.5), np.asarray([1.0])
    >>> new, state, info = tuner.step(lambda w: np.sum(4 * w**2), w, tuner.init(w))
    >>> float(info.learning_rate), int(info.flags.backtracks), new
    (0.125, 3, array([0.]))
    """

    _: KW_ONLY
    base: Any = field(default_factory=GradientDescent)
    c1: float = 1e-4
    decrease_factor: float = 0.8
    increase_factor: float = 1.5
    max_learning_rate: float = 1.0
    max_iter: int = 30
    rtol: float = 0.0
    atol: float = 0.0

    def __post_init__(self) -> None:
        check_number("c1", self.c1, above=0.0, maximum=1.0)
        check_number("decrease_factor", self.decrease_factor, above=0.0, maximum=1.0 - 2.0**-52)
        check_number("increase_factor", self.increase_factor, minimum=1.0)
        check_number("max_learning_rate", self.max_learning_rate, above=0.0, maximum=1e300)
        check_integer("max_iter", self.max_iter, minimum=0)
        check_number("rtol", self.rtol, minimum=0.0)
        check_number("atol", self.atol, minimum=0.0)
        check_base(self.base)

    def init(self, params: Tree) -> ArmijoState:
        """Return the state before the first step."""
        (first,) = Holder.like(params).numbers(self.max_learning_rate)
        return ArmijoState(start(self.base, params), first)

    def step(
        self, objective: Callable[..., Any], params: Tree, state: ArmijoState, *data: Any
    ) -> tuple[Tree, ArmijoState, Info]:
        """Take one step; as `CDAT.step`."""
        stage = stage_at(self.base, objective, params, state.base, data, state.learning_rate)
        ops = stage.ops
        guess = self._guess(ops, ops.number(state.learning_rate))
        downhill = stage.healthy & (stage.slope >= 0) & ops.is_finite(stage.point.value)
        allowed = _line(stage, self.c1, self.rtol, self.atol)

        def going(carry: tuple[Scalar, Scalar, Scalar]) -> Scalar:
            rate, value, refused = carry
            enough = ops.is_finite(value) & (value <= allowed(rate))
            return downhill & ops.negation(enough) & (refused < self.max_iter)

        def body(carry: tuple[Scalar, Scalar, Scalar]) -> tuple[Scalar, Scalar, Scalar]:
            shorter = carry[0] * self.decrease_factor
            return shorter, stage.value_at(shorter), carry[2] + 1

        rate, value, refused = ops.repeat(going, body, self._first(stage, guess, downhill))
        accepted = downhill & ops.is_finite(value) & (value <= allowed(rate))
        flags = no_flags(ops)._replace(backtracks=refused)
        new, base, info = finish(stage, rate, accepted, ops.number(float("nan")), flags)
        # An uphill direction says nothing of the learning rate; a failed search says to restart.
        kept = ops.where(downhill, self.max_learning_rate, ops.number(state.learning_rate))
        (last,) = stage.point.holder.numbers(ops.where(accepted, rate, kept))
        return new, ArmijoState(base, last), info

    def _guess(self, ops: Any, last: Scalar) -> Scalar:
        if self.increase_factor == inf:
            return ops.number(self.max_learning_rate)
        return ops.minimum(last * self.increase_factor, ops.number(self.max_learning_rate))

    def _first(self, stage: Stage, guess: Scalar, downhill: Scalar) -> tuple[Any, Any, Any]:
        ops = stage.ops
        if not ops.traced and not downhill:
            return guess, stage.point.value, 0
        return guess, stage.value_at(guess), ops.counted(False)


def _line(stage: Stage, c1: float, rtol: float, atol: float) -> Callable[[Scalar], Scalar]:
    """Return the largest value allowed at a learning rate."""
    value, ops = stage.point.value, stage.ops
    # |f|: a share of a negative value would forbid rather than allow.
    level = value + rtol * ops.absolute(value) + atol
    return lambda rate: level - (c1 * rate) * stage.slope * stage.unit.scale
