"""Regression losses that grow linearly: Huber's and the absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_number, sign
from ..convex.boxes import Box
from ..operators._arguments import finish, prepare
from ..trees import register_dataclass
from ._problem import Problem
from ._regression import Entrywise

__all__ = ["Absolute", "Huber"]

Array = Any


@register_dataclass(static=("delta",))
@dataclass(frozen=True)
class Huber(Entrywise):
    r"""Huber's loss: :math:`r^2/2` up to `delta`, :math:`\delta |r| - \delta^2/2` beyond.

    Of the residuals r = scores - target, summed over the axis.

    Parameters
    ----------
    delta : float
        Above 0.

    Raises
    ------
    ValueError
        If `delta` is not above 0.

    Notes
    -----
    *Derivatives*: the residual clipped to [-delta, delta]; of every order off the corners.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import huber
    >>> float(huber(delta=1.0)(np.asarray([0.5, 3.0]), np.asarray([0.0, 0.0])))
    2.625
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        """Check the corner."""
        object.__setattr__(self, "delta", check_number("delta", self.delta, above=0.0))

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the scores: they are the prediction (see `Loss.link`)."""
        return _identity(scores, axis, where)

    @property
    def dual_set(self) -> Any:
        """The set of dual vectors, [-delta, delta]."""
        return Box(-self.delta, self.delta)

    def _entries(self, problem: Problem) -> Array:
        r = problem.x - problem.soft_target()
        q = _clip(problem.backend.namespace, r, self.delta)
        return q * (r - 0.5 * q)

    def _slopes(self, problem: Problem) -> Array:
        r = problem.x - problem.soft_target()
        return _clip(problem.backend.namespace, r, self.delta)

    def _conjugate_entries(self, problem: Problem) -> Array:
        a = problem.x
        value = a * (0.5 * a + problem.soft_target())
        return _inside(problem.backend.namespace, a, self.delta, value)

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        a = (middle - problem.soft_target()) / (1.0 + tau)
        return _clip(problem.backend.namespace, a, self.delta)


@register_dataclass()
@dataclass(frozen=True)
class Absolute(Entrywise):
    r"""The absolute loss :math:`\sum_i |\theta_i - y_i|`.

    Notes
    -----
    *Derivatives*: the signs of the residuals, 0 at 0; second ones are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import absolute
    >>> float(absolute(np.asarray([0.5, 3.0]), np.asarray([0.0, 1.0])))
    2.5
    """

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the scores: they are the prediction (see `Loss.link`)."""
        return _identity(scores, axis, where)

    @property
    def dual_set(self) -> Any:
        """The set of dual vectors, [-1, 1]."""
        return Box(-1.0, 1.0)

    def _entries(self, problem: Problem) -> Array:
        r = problem.x - problem.soft_target()
        return r * sign(problem.backend.namespace, problem.backend.stop_gradient(r))

    def _slopes(self, problem: Problem) -> Array:
        return sign(problem.backend.namespace, problem.x - problem.soft_target())

    def _conjugate_entries(self, problem: Problem) -> Array:
        value = problem.x * problem.soft_target()
        return _inside(problem.backend.namespace, problem.x, 1.0, value)

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        a = (middle - problem.soft_target()) / tau
        return _clip(problem.backend.namespace, a, 1.0)


def _identity(scores: Array, axis: int, where: Array | None) -> Array:
    ready = prepare(scores, axis, where, masked=0.0)
    return finish(ready, ready.x)


def _clip(xp: Any, x: Array, bound: float) -> Array:
    x = xp.where(x > bound, xp.full_like(x, bound), x)
    return xp.where(x < -bound, xp.full_like(x, -bound), x)


def _inside(xp: Any, a: Array, bound: float, value: Array) -> Array:
    """Return `value`, inf where a dual entry is beyond its bound by more than rounding."""
    slack = bound * (1.0 + 8.0 * xp.finfo(a.dtype).eps ** 0.5)
    return xp.where(xp.abs(a) <= slack, value, xp.full_like(value, float("inf")))
