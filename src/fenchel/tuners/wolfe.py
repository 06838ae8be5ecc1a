"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer, check_number
from ..autodiff import value_and_grad
from ._directions import check_base, start
from ._point import inner
from ._scalars import Holder
from ._stage import Stage, finish, no_flags, stage_at
from .bases import GradientDescent
from .info import Info

__all__ = ["StrongWolfe", "StrongWolfeState"]

Tree = Any
Scalar = Any


class StrongWolfeState(NamedTuple):
    """State of `StrongWolfe`: that of the base, and the last positive learning rate.

    Examples
    --------
    >>> import numpy as np
    >>> StrongWolfe().init(np.asarray([1.0])).learning_rate
    array(1.)
    """

    base: Any
    learning_rate: Scalar


@dataclass(frozen=True)
class StrongWolfe:
    """A learning rate with enough decrease and a slope that is small.

    f(w + eta u) <= f + c1 eta <g, u> and abs(<grad f(w + eta u), u>) <= c2 abs(<g, u>), found by
    doubling until a minimum is bracketed, then by cubic or quadratic interpolation or bisection.

    Parameters
    ----------
    base
        As for `CDAT`.
    c1, c2
        0 < c1 < c2 < 1.
    initial
        First trial: "previous", the last learning rate, or "one".
    max_iter
        Trials, each with a gradient. When they are used up, the best learning rate with enough
        decrease serves; without one the step is skipped.

    Raises
    ------
    ValueError
        If an option lies outside its range.

    Notes
    -----
    `info.flags.backtracks` is the number of trials but one. `info.denominator` is NaN.

    *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed., Springer 2006, section 3.5.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = StrongWolfe(c2=0.1), np.asarray([1.0])
    >>> new, state, info = tuner.step(lambda w: np.sum(4 * w**2), w, tuner.init(w))
    >>> float(info.learning_rate), int(info.flags.backtracks)
    (0.125, 1)
    """

    _: KW_ONLY
    base: Any = field(default_factory=GradientDescent)
    c1: float = 1e-4
    c2: float = 0.9
    initial: str = "previous"
    max_iter: int = 30

    def __post_init__(self) -> None:
        check_number("c1", self.c1, above=0.0, maximum=1.0)
        check_number("c2", self.c2, above=self.c1, maximum=1.0)
        check_choice("initial", self.initial, ("previous", "one"))
        check_integer("max_iter", self.max_iter, minimum=1)
        check_base(self.base)

    def init(self, params: Tree) -> StrongWolfeState:
        """Return the state before the first step."""
        (one,) = Holder.like(params).numbers(1.0)
        return StrongWolfeState(start(self.base, params), one)

    def step(
        self, objective: Callable[..., Any], params: Tree, state: StrongWolfeState, *data: Any
    ) -> tuple[Tree, StrongWolfeState, Info]:
        """Take one step; as `CDAT.step`."""
        stage = stage_at(self.base, objective, params, state.base, data, state.learning_rate)
        ops = stage.ops
        previous = ops.number(state.learning_rate)
        search = _Line(stage, self.c1, self.c2, self.max_iter)
        found = search.run(previous if self.initial == "previous" else ops.number(1.0))
        rate = found.best
        taken = rate > 0
        flags = no_flags(ops)._replace(backtracks=found.tries - found.started)
        nothing = ops.number(float("nan"))
        new, base, info = finish(stage, rate, taken | search.at_rest, nothing, flags)
        (last,) = stage.point.holder.numbers(ops.where(taken, rate, 1.0))
        return new, StrongWolfeState(base, last), info


_TRUSTING = 4  # trials


class _End(NamedTuple):
    """A trial that bounds the bracket: learning rate, value and slope there."""

    rate: Scalar
    value: Scalar
    slope: Scalar


class _Search(NamedTuple):
    """A line search under way: the lower end has enough decrease and the lowest value so far."""

    low: _End
    high: _End
    trial: Scalar
    bracketed: Scalar
    done: Scalar
    best: Scalar  # what to use if the search ends here
    tries: Scalar
    started: Scalar


class _Line:
    """The objective along a direction, and the search on it."""

    def __init__(self, stage: Stage, c1: float, c2: float, max_iter: int) -> None:
        ops = stage.ops
        self.stage, self.ops, self.c1, self.c2, self.max_iter = stage, ops, c1, c2, max_iter
        self.slope = -stage.slope * stage.unit.scale
        finite = stage.healthy & ops.is_finite(stage.point.value)
        self.downhill = finite & (self.slope < 0)
        self.at_rest = finite & (self.slope == 0)

    def run(self, first: Scalar) -> _Search:
        """Return the search when it is done."""
        ops = self.ops
        zero, no = ops.number(0.0), ops.truth(False)
        origin = _End(zero, self.stage.point.value, ops.number(self.slope))
        nothing = ops.counted(False)
        search = _Search(origin, origin, first, no, no, zero, nothing, nothing)
        found: _Search = ops.repeat(self.going, self.advance, search)
        return found._replace(started=ops.counted(found.tries > 0))

    def going(self, search: _Search) -> Scalar:
        """Whether another trial is needed and allowed."""
        ops = self.ops
        return self.downhill & ops.negation(search.done) & (search.tries < self.max_iter)

    def evaluate(self, rate: Scalar) -> _End:
        """Return value and slope at a learning rate."""
        stage, ops = self.stage, self.ops
        value, gradient = value_and_grad(stage.point.f)(stage.at(rate))
        return _End(rate, ops.number(value), inner(ops, gradient, stage.course.direction))

    def advance(self, search: _Search) -> _Search:
        """Evaluate the trial, and make it an end of the bracket or the result."""
        ops, low, high = self.ops, search.low, search.high
        end = self.evaluate(search.trial)
        finite = ops.is_finite(end.value) & ops.is_finite(end.slope)
        allowed = self.stage.point.value + self.c1 * end.rate * self.slope
        enough = finite & (end.value <= allowed)
        lower = enough & ((end.value < low.value) | (low.rate == 0))
        done = lower & (ops.absolute(end.slope) <= -self.c2 * self.slope)
        # The minimum lies between the new end and the old lower one where the new one is worse, or
        # slopes upwards away from it; else beyond, on the side of the other end.
        beyond = ops.where(search.bracketed, high.rate - low.rate, 1.0)
        turned = lower & (end.slope * beyond >= 0)
        new_low = _pick(ops, lower, end, low)
        new_high = _pick(ops, lower, _pick(ops, turned, low, high), _known(ops, end, finite))
        bracketed = search.bracketed | ops.negation(lower) | turned
        inside = self.between(new_low, new_high, search.tries < _TRUSTING)
        trial = ops.where(bracketed, inside, 2.0 * end.rate)
        best = ops.where(lower, end.rate, search.best)
        tries = search.tries + 1
        return _Search(new_low, new_high, trial, bracketed, done, best, tries, search.started)

    def between(self, low: _End, high: _End, trusting: Scalar) -> Scalar:
        """Return where to look in a bracket: by a cubic, else a parabola, else the middle.

        The first few trials may be close to an end, as the minimum may be; later ones must shrink
        the bracket.
        """
        ops = self.ops
        margins = ops.where(trusting, 1e-3, 0.2), ops.where(trusting, 1e-3, 0.1)
        width = high.rate - low.rate
        safe = ops.where(width == 0, 1.0, width)
        secant = (high.value - low.value) / safe
        cubic = _cubic_share(ops, low.slope, high.slope, secant)
        curved = secant - low.slope
        parabola = -0.5 * low.slope / ops.where(curved == 0, 1.0, curved)
        share = ops.where(_well_inside(ops, parabola, margins[1]), parabola, 0.5)
        return low.rate + width * ops.where(_well_inside(ops, cubic, margins[0]), cubic, share)


def _cubic_share(ops: Any, low: Scalar, high: Scalar, secant: Scalar) -> Scalar:
    """Return the minimum of the cubic with given end slopes, as a share of the bracket."""
    # All divided by the width, whose sign makes slopes those towards the higher end.
    first = low + high - 3.0 * secant
    square = first * first - low * high
    root = ops.root(ops.where(square > 0, square, 0.0))
    sign = ops.where(secant - low >= 0, 1.0, -1.0)
    below = high - low + 2.0 * sign * root
    share = 1.0 - (high + sign * root - first) / ops.where(below == 0, 1.0, below)
    return ops.where((square > 0) & (below != 0), share, -1.0)


def _well_inside(ops: Any, share: Scalar, margin: Scalar) -> Scalar:
    return ops.is_finite(share) & (share >= margin) & (share <= 1.0 - margin)


def _pick(ops: Any, condition: Scalar, a: _End, b: _End) -> _End:
    return _End._make(ops.where(condition, x, y) for x, y in zip(a, b, strict=True))


def _known(ops: Any, end: _End, finite: Scalar) -> _End:
    """Return an end whose numbers make interpolation fall back on the middle if not finite."""
    value = ops.where(finite, end.value, float("inf"))
    return _End(end.rate, value, ops.where(finite, end.slope, float("inf")))
