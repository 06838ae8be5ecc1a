"""The scalar core of CDAT: a learning rate from a slope and a curvature."""

from __future__ import annotations

from math import inf
from numbers import Real
from typing import Any, NamedTuple

from ..arrays import check_choice, check_number
from ..trees import is_array
from ._scalars import scalars_of
from .info import Flags

__all__ = ["Averages", "Rule", "cdat_rule"]

Scalar = Any


class Averages(NamedTuple):
    """State of `cdat_rule`: what it remembers of earlier steps.

    Parameters
    ----------
    numerator, denominator
        Averages of n / scale and d / scale**2.
    scale
        Size of the direction that the averages are measured by; 1 where `cdat_rule` is called
        without one, so that they are those of n and d.
    learning_rate
        The last positive learning rate; 0 before there is one.
    count
        How many pairs (n, d) went into the averages.

    Examples
    --------
    >>> learning_rate, state, flags = cdat_rule(1.0, 4.0)
    >>> state.denominator, state.learning_rate
    (4.0, 0.5)
    """

    numerator: Scalar
    denominator: Scalar
    scale: Scalar
    learning_rate: Scalar
    count: Scalar


def cdat_rule(
    n: Scalar,
    d: Scalar,
    state: Averages | None = None,
    *,
    scaling: float = 2.0,
    ema: float = 0.0,
    ema_init: str = "zero",
    eps: float = 0.0,
    max_learning_rate: float = inf,
    min_learning_rate: float = 0.0,
    max_growth: float = inf,
    scale: Scalar = 1.0,
) -> tuple[Scalar, Averages, Flags]:
    """Return the learning rate `scaling` N / D, with N and D averages of n and d.

    Parameters
    ----------
    n
        Slope along the direction, -<g, u>: float or array of shape (). Below 0 it counts as 0.
    d
        Curvature along the direction, <u, H u>; its magnitude counts.
    state
        What the last call returned; None at the start.
    scaling
        1 goes to the minimum of the quadratic model, 2 to where it predicts no change.
    ema
        Weight of the past in the averages, in [0, 1).
    ema_init
        "zero": averages start at 0; "first": at the first n and d.
    eps
        Added to the magnitude of d.
    max_learning_rate, min_learning_rate
        Bounds of the learning rate; the lower one does not apply where N = 0.
    max_growth
        Largest ratio to the last positive learning rate.
    scale
        Size s of the direction where n and d were taken along u / s: then -<g, u> = n s and
        <u, H u> = d s**2, which may lie outside the range of floats while N / D does not.

    Returns
    -------
    tuple
        The learning rate, the new state, and `Flags`.

    Raises
    ------
    TypeError
        If `n`, `d` or `scale` is neither a number nor an array.
    ValueError
        If an option lies outside its range, or an array is not of shape ().

    Notes
    -----
    N = 0 gives 0. D = 0 < N, or a ratio that overflows, gives `max_learning_rate` where that is
    finite, else the last positive learning rate, else 0, flagged `flat`. If n, d or the scale is
    not finite, the averages are left alone and the last learning rate is halved, flagged
    `non_finite`. All other results are finite.

    The correction of the bias of averages that start at 0 cancels in the ratio.

    *Derivatives*: those of the formula in n and d, away from the bounds.

    References
    ----------
    V. Roulet et al., "Stepping on the Edge: Curvature Aware Learning Rate Tuners", NeurIPS 2024,
    arXiv 2407.06183.

    Examples
    --------
    >>> learning_rate, state, flags = cdat_rule(3.0, 12.0)
    >>> learning_rate
    0.5
    >>> learning_rate, state, flags = cdat_rule(3.0, 0.0, state)
    >>> learning_rate, flags.flat
    (0.5, True)
    """
    rule = Rule(scaling, ema, ema_init, eps, max_learning_rate, min_learning_rate, max_growth)
    rule.check()
    for name, value in (("n", n), ("d", d), ("scale", scale)):
        _check_scalar(name, value)
    ops = scalars_of(n, d, scale, *(state or ()))
    if state is None:
        state = Averages._make((*(ops.number(0.0) for _ in range(4)), 0))
    return rule.apply(ops, n, d, state, scale)


def _check_scalar(name: str, value: Any) -> None:
    if is_array(value):
        if tuple(value.shape) != ():
            raise ValueError(f"`{name}` must have the shape (); got {tuple(value.shape)}")
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"`{name}` must be a number or an array of shape (); got {type(value).__qualname__}"
        )


class Rule(NamedTuple):
    """The options of `cdat_rule`."""

    scaling: float
    ema: float
    ema_init: str
    eps: float
    max_learning_rate: float
    min_learning_rate: float
    max_growth: float

    def check(self) -> None:
        """Raise ValueError where an option lies outside its range."""
        check_number("scaling", self.scaling, minimum=0.0, maximum=1e300)
        check_number("ema", self.ema, minimum=0.0, maximum=1.0 - 2.0**-52)
        check_choice("ema_init", self.ema_init, ("zero", "first"))
        check_number("eps", self.eps, minimum=0.0, maximum=1e300)
        smallest = check_number(
            "min_learning_rate", self.min_learning_rate, minimum=0.0, maximum=1e300
        )
        check_number("max_learning_rate", self.max_learning_rate, minimum=smallest)
        check_number("max_growth", self.max_growth, minimum=1.0)

    def apply(
        self, ops: Any, n: Scalar, d: Scalar, state: Averages, scale: Scalar
    ) -> tuple[Scalar, Averages, Flags]:
        """Return what `cdat_rule` does, in a given arithmetic."""
        n, d, scale = ops.number(n), ops.number(d), ops.number(scale)
        finite = ops.is_finite(n) & ops.is_finite(d) & ops.is_finite(scale)
        averages = self._averaged(ops, n, d, scale, state, finite)
        previous = ops.number(state.learning_rate)
        usable = averages.denominator > 0
        # Two divisions in this order: the product of D and the scale overflows where the ratio
        # does not. A compiler may fold (a / b) / c into a / (b c), and leaves (a / b) (1 / c).
        size = ops.where(averages.scale > 0, averages.scale, 1.0)
        ratio = averages.numerator / ops.where(usable, averages.denominator, 1.0)
        raw = self.scaling * ratio * (1.0 / size)
        moving = averages.numerator > 0
        flat = moving & (ops.negation(usable) | ops.negation(ops.is_finite(raw)))
        unbounded = self.max_learning_rate == inf
        held = previous if unbounded else ops.number(self.max_learning_rate)
        raw = ops.where(moving, ops.where(flat, held, raw), 0.0)
        rate = self._bounded(ops, raw, previous, moving)
        capped = finite & (rate != raw)
        rate = ops.where(finite, rate, 0.5 * previous)
        last = ops.where(rate > 0, rate, previous)
        no = ops.truth(False)
        flags = Flags(n < 0, finite & flat, capped, ops.negation(finite), no, 0)
        return rate, averages._replace(learning_rate=last), flags

    def _averaged(
        self, ops: Any, n: Scalar, d: Scalar, scale: Scalar, state: Averages, finite: Scalar
    ) -> Averages:
        """Return the state with a new pair in its averages; not one that is not finite."""
        n, d = ops.maximum(n, 0.0), ops.absolute(d)
        if self.eps:
            positive = ops.where(scale > 0, scale, 1.0)
            d = d + (self.eps * (1.0 / positive)) * (1.0 / positive)
        new = (n, d, scale) if self.ema == 0.0 else self._mixed(ops, n, d, scale, state)
        kept = (state.numerator, state.denominator, state.scale)
        chosen = [ops.where(finite, a, ops.number(b)) for a, b in zip(new, kept, strict=True)]
        count = state.count + ops.counted(finite)
        return Averages._make((*chosen, state.learning_rate, count))

    def _mixed(
        self, ops: Any, n: Scalar, d: Scalar, scale: Scalar, state: Averages
    ) -> tuple[Scalar, Scalar, Scalar]:
        """Return the averages of the past and a new pair, and their scale."""
        # Old averages are carried over to the scale of the new pair. That scale shrinks no faster
        # than sqrt(ema) a step: slower than the weight of the past, so that nothing overflows.
        common = ops.maximum(ops.number(state.scale) * self.ema**0.5, scale)
        safe = ops.where(common > 0, common, 1.0)
        before, now = ops.number(state.scale) / safe, scale / safe
        weight = ops.number(self.ema)
        if self.ema_init == "first":
            weight = ops.where(state.count > 0, weight, 0.0)
        old_n, old_d = ops.number(state.numerator), ops.number(state.denominator)
        return (
            weight * before * old_n + (1.0 - weight) * now * n,
            weight * (before * before) * old_d + (1.0 - weight) * (now * now) * d,
            common,
        )

    def _bounded(self, ops: Any, rate: Scalar, previous: Scalar, moving: Scalar) -> Scalar:
        if self.max_growth != inf:
            most = self.max_growth * previous
            rate = ops.where(previous > 0, ops.minimum(rate, most), rate)
        if self.min_learning_rate > 0:
            rate = ops.where(moving, ops.maximum(rate, self.min_learning_rate), rate)
        return rate if self.max_learning_rate == inf else ops.minimum(rate, self.max_learning_rate)
