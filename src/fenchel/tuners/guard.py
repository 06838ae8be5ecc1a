"""The guard that keeps a step at the edge of stability from leaving it for good.

At scaling 2 the rule overshoots now and then into a region without curvature, where the ratio is
huge: unguarded it overflows on small convex problems. A monotone line search would cure that, and
the edge with it. The guard asks only that the objective stay below the largest of its last values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from ..arrays import check_integer, check_number
from ..backend import backend_of
from ..trees import is_array
from ._scalars import Holder

__all__ = ["NonMonotone", "Trial"]

Scalar = Any


class Trial(NamedTuple):
    """A learning rate, what was found there, and how many were refused before it."""

    learning_rate: Scalar
    value: Scalar
    found: Any
    refused: Scalar
    accepted: Scalar


@dataclass(frozen=True)
class NonMonotone:
    """Accept a learning rate if the objective stays below the largest of its last values.

    Parameters
    ----------
    memory
        How many values, the current one included. 1 is monotone, and destroys the edge.
    factor
        What a refused learning rate is multiplied by, in (0, 1).
    max_backtracks
        After this many refusals the step is skipped.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    References
    ----------
    L. Grippo, F. Lampariello, S. Lucidi, "A nonmonotone line search technique for Newton's
    method", SIAM Journal on Numerical Analysis 23 (1986).

    Examples
    --------
    >>> NonMonotone().memory
    20
    """

    memory: int = 20
    factor: float = 0.5
    max_backtracks: int = 30

    def __post_init__(self) -> None:
        check_integer("memory", self.memory, minimum=1)
        check_number("factor", self.factor, above=0.0, maximum=1.0 - 2.0**-52)
        check_integer("max_backtracks", self.max_backtracks, minimum=0)

    def init(self, holder: Holder) -> Any:
        """Return the values remembered before the first step: none."""
        return holder.filled(self.memory, -inf)

    def remember(self, ops: Any, history: Any, value: Scalar) -> Any:
        """Return the history with a value added, the oldest dropped; only finite values count."""
        value = ops.where(ops.is_finite(value), value, -inf)
        if not is_array(history):
            return (*history[1:], value)
        backend = backend_of(history)
        xp = backend.namespace
        if not is_array(value):
            value = xp.asarray(value, dtype=history.dtype, device=backend.device_of(history))
        new = xp.reshape(xp.astype(value, history.dtype), (1,))
        return xp.concat((history[1:], new))

    def bound(self, ops: Any, history: Any) -> Scalar:
        """Return the largest value remembered; infinity where there is none."""
        if not is_array(history):
            return max(history) if max(history) > -inf else inf
        largest = ops.number(backend_of(history).namespace.max(history))
        return ops.where(largest > -inf, largest, inf)

    def search(
        self,
        ops: Any,
        bound: Scalar,
        learning_rate: Scalar,
        trial: Callable[[Scalar], tuple[Scalar, Any]],
        healthy: Scalar = True,
    ) -> Trial:
        """Return the first learning rate of the geometric sequence that is accepted.

        `trial` gives the value at a learning rate and whatever else is found there.
        """
        value, found = trial(learning_rate)

        def refused(value: Scalar) -> Scalar:
            return ops.negation(value <= bound) | ops.negation(ops.is_finite(value))

        def going(carry: Any) -> Scalar:
            return healthy & refused(carry[1]) & (carry[3] < self.max_backtracks)

        def body(carry: Any) -> Any:
            shorter = carry[0] * self.factor
            value, found = trial(shorter)
            return shorter, value, found, carry[3] + 1

        first = (learning_rate, value, found, ops.counted(False))
        rate, value, found, count = ops.repeat(going, body, first)
        return Trial(rate, value, found, count, healthy & ops.negation(refused(value)))
