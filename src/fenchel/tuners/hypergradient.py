"""Learning rates that descend on the objective themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from ..arrays import check_choice, check_number
from ..trees import zeros_like
from ._directions import check_base, start
from ._point import inner, size_of
from ._scalars import Holder
from ._stage import Stage, chosen_tree, finish, no_flags, stage_at
from .bases import GradientDescent
from .info import Info

__all__ = ["Hypergradient", "HypergradientState"]

Tree = Any
Scalar = Any


class HypergradientState(NamedTuple):
    """State of `Hypergradient`: that of the base, the learning rate, the last direction.

    Examples
    --------
    >>> import numpy as np
    >>> Hypergradient(0.1).init(np.asarray([1.0])).direction
    array([0.])
    """

    base: Any
    learning_rate: Scalar
    direction: Tree


@dataclass(frozen=True)
class Hypergradient:
    """A learning rate that grows while the new gradient agrees with the last direction.

    Parameters
    ----------
    initial
        First learning rate.
    rate
        Step b of the learning rate; by default 1e-4 ("additive") or 0.02 ("multiplicative").
    kind
        "additive": eta - b <g, u'> for the last direction u'. "multiplicative":
        eta (1 - b cos(g, u')), which stays positive for b below 1.
    base
        As for `CDAT`.
    min_learning_rate
        The additive rule can turn the learning rate negative; it is never below this.

    Raises
    ------
    ValueError
        If an option lies outside its range.

    Notes
    -----
    `info.denominator` is NaN. *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    A. Baydin et al., "Online Learning Rate Adaptation with Hypergradient Descent", ICLR 2018,
    arXiv 1703.04782.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = Hypergradient(0.25, rate=0.125), np.asarray([1.0])
    >>> state = tuner.init(w)
    >>> for _ in range(2):
    ...     w, state, info = tuner.step(lambda w: np.sum(w**2) / 2, w, state)
    >>> float(info.learning_rate)
    0.34375
    """

    initial: float
    _: KW_ONLY
    rate: float | None = None
    kind: str = "additive"
    base: Any = field(default_factory=GradientDescent)
    min_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        check_number("initial", self.initial, minimum=0.0, maximum=1e300)
        check_choice("kind", self.kind, ("additive", "multiplicative"))
        if self.rate is not None:
            check_number("rate", self.rate, minimum=0.0, maximum=1e300)
        check_number("min_learning_rate", self.min_learning_rate, minimum=0.0, maximum=1e300)
        check_base(self.base)

    def init(self, params: Tree) -> HypergradientState:
        """Return the state before the first step."""
        (first,) = Holder.like(params).numbers(self.initial)
        return HypergradientState(start(self.base, params), first, zeros_like(params))

    def step(
        self, objective: Callable[..., Any], params: Tree, state: HypergradientState, *data: Any
    ) -> tuple[Tree, HypergradientState, Info]:
        """Take one step; as `CDAT.step`."""
        stage = stage_at(self.base, objective, params, state.base, data, state.learning_rate)
        ops = stage.ops
        previous = ops.number(state.learning_rate)
        raw = self._changed(stage, previous, state.direction)
        finite = ops.is_finite(raw)
        bounded = ops.maximum(raw, ops.number(self.min_learning_rate))
        rate = ops.where(finite, bounded, 0.5 * previous)
        flags = no_flags(ops)._replace(
            capped=finite & (raw != bounded), non_finite=ops.negation(finite)
        )
        new, base, info = finish(stage, rate, ops.truth(True), ops.number(float("nan")), flags)
        (last,) = stage.point.holder.numbers(rate)
        direction = chosen_tree(ops, stage.healthy, stage.course.direction, state.direction)
        return new, HypergradientState(base, last, direction), info

    def _changed(self, stage: Stage, previous: Scalar, direction: Tree) -> Scalar:
        """Return the learning rate after a step along its own derivative, -<g, u'>."""
        ops, point = stage.ops, stage.point
        agreement = -inner(ops, point.gradient, direction)
        if self.kind == "additive":
            return previous + (1e-4 if self.rate is None else self.rate) * agreement
        length = size_of(ops, direction)
        positive = (point.grad_norm > 0) & (length > 0)
        norm = ops.where(positive, point.grad_norm, 1.0)
        cosine = agreement / norm / ops.where(positive, length, 1.0)
        return previous * (1.0 + (0.02 if self.rate is None else self.rate) * cosine)
