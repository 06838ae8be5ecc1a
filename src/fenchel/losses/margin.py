"""Losses of the maximum itself: perceptron, hinge, and the squared hinge of signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import sign
from ..convex import Simplex, project_simplex
from ..convex.boxes import Box
from ..operators._arguments import finish, prepare
from ..operators._scores import hard_argmax, shifted
from ..trees import register_dataclass
from ._loss import Loss
from ._pieces import bounded, corrected, out_of, settled
from ._problem import Problem, differentiates
from ._regression import Entrywise

__all__ = ["Hinge", "Perceptron", "SquaredHinge"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class Perceptron(Loss):
    r"""The perceptron loss :math:`\max_i \theta_i - \langle \theta, y \rangle`.

    The limit of the Fenchel-Young losses of a regularizer that vanishes; its Fitzpatrick loss is
    the same function.

    Notes
    -----
    *Derivatives*: the hard argmax minus the target, ties sharing equally; second ones are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import perceptron
    >>> scores = np.asarray([[2.0, 0.5, 0.0], [0.5, 0.25, 0.0]])
    >>> perceptron(scores, np.asarray([0, 1]), reduction="none")
    array([0.  , 0.25])
    """

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the hard argmax of the scores, ties sharing equally (see `Loss.link`)."""
        ready = prepare(scores, axis, where)
        return finish(ready, hard_argmax(ready.backend, ready.x))

    @property
    def dual_set(self) -> Any:
        """The simplex, which ``dual + target`` ranges over."""
        return Simplex()

    def _lead(self, problem: Problem, z: Array, y: Array) -> Array:
        """Return what is maximised over the entries."""
        return z

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        backend, xp = problem.backend, problem.backend.namespace
        y = settled(problem, problem.soft_target(), True)
        z = shifted(backend, problem.x, 1.0)
        out = out_of(backend, z)
        inside = xp.where(out, xp.zeros_like(z), z)
        lead = self._lead(problem, z, y)
        data, fixed = backend.stop_gradient(inside), backend.stop_gradient(y)
        top = xp.max(backend.stop_gradient(lead), axis=-1, keepdims=True)
        top = xp.where(xp.abs(top) == float("inf"), xp.zeros_like(top), top)
        rows = xp.sum(
            fixed * xp.where(out, xp.zeros_like(data), top - data), axis=-1, keepdims=True
        )
        rows = bounded(problem, rows, fixed, out)
        if not differentiates(backend):
            return rows
        best = hard_argmax(backend, backend.stop_gradient(lead))
        ahead = xp.where(out, xp.zeros_like(z), self._lead(problem, inside, y))
        top = xp.sum(ahead * best, axis=-1, keepdims=True)
        textbook = xp.sum((top - inside) * y, axis=-1, keepdims=True)
        return corrected(problem, rows, textbook, out)

    def _gradient(self, problem: Problem) -> Array:
        backend, xp = problem.backend, problem.backend.namespace
        y = settled(problem, problem.soft_target(), True)
        z = shifted(backend, problem.x, 1.0)
        gradient = hard_argmax(backend, self._lead(problem, z, y)) - y
        return xp.where(out_of(backend, z), xp.zeros_like(gradient), gradient)

    def _conjugate(self, problem: Problem) -> Array:
        backend, xp = problem.backend, problem.backend.namespace
        y = problem.soft_target()
        mu = problem.x + y
        rows = xp.sum(self._cost(y) * mu, axis=-1, keepdims=True)
        inside = Simplex().contains(backend.stop_gradient(mu), _tolerance(xp, mu))[..., None]
        return xp.where(inside, -rows, xp.full_like(rows, float("inf")))

    def _cost(self, y: Array) -> Array:
        """Return what the maximum adds to the scores."""
        return 0.0 * y

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        y = problem.soft_target()
        return project_simplex((middle + self._cost(y)) / tau + y) - y


@register_dataclass()
@dataclass(frozen=True)
class Hinge(Perceptron):
    r"""The multiclass hinge loss :math:`\max_j (\theta_j + 1[j \neq k]) - \theta_k`.

    For dense targets :math:`\max_j (\theta_j + 1 - y_j) - \langle \theta, y \rangle`.

    Notes
    -----
    *Derivatives*: the hard argmax of the scores with their margins, minus the target; second ones
    are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import hinge
    >>> scores = np.asarray([[2.0, 0.5, 0.0], [0.5, 0.25, 0.0]])
    >>> hinge(scores, np.asarray([0, 1]), reduction="none")
    array([0.  , 1.25])
    """

    def _lead(self, problem: Problem, z: Array, y: Array) -> Array:
        return z + (1.0 - y)

    def _cost(self, y: Array) -> Array:
        return 1.0 - y


@register_dataclass()
@dataclass(frozen=True)
class SquaredHinge(Entrywise):
    r"""The squared hinge of signs, :math:`\sum_i \frac12 [1 - y_i \theta_i]_+^2`.

    Notes
    -----
    Targets are signs, integer or floating, shaped like the scores. *Derivatives*: of every order
    except where a margin is exactly 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared_hinge
    >>> float(squared_hinge(np.asarray([2.0, 0.5, 0.0]), np.asarray([1, 1, -1])))
    0.625
    """

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the signs of the scores (see `Loss.link`)."""
        ready = prepare(scores, axis, where, masked=0.0)
        return finish(ready, sign(ready.backend.namespace, ready.x))

    @property
    def dual_set(self) -> Any:
        """The set that ``dual * target`` ranges over: {a <= 0}."""
        return Box(float("-inf"), 0.0)

    def dual_point(self, dual: Array, target: Array, /) -> Array:
        """Return ``dual * target``."""
        return dual * target

    def dual_vector(self, point: Array, target: Array, /) -> Array:
        """Return ``point * target``."""
        return point * target

    def _short(self, problem: Problem) -> tuple[Array, Array]:
        """Return what the margins lack, and the signs."""
        xp = problem.backend.namespace
        y = problem.soft_target()
        gap = 1.0 - problem.x * y
        gap = xp.where(gap > 0, gap, xp.zeros_like(gap))
        return xp.where(xp.isnan(problem.x), problem.x, gap), y

    def _entries(self, problem: Problem) -> Array:
        gap, _ = self._short(problem)
        return 0.5 * gap * gap

    def _slopes(self, problem: Problem) -> Array:
        gap, y = self._short(problem)
        return -1.0 * gap * y

    def _conjugate_entries(self, problem: Problem) -> Array:
        xp = problem.backend.namespace
        a = problem.x * problem.soft_target()
        value = a + 0.5 * a * a
        return xp.where(a <= _tolerance(xp, a), value, xp.full_like(value, float("inf")))

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        xp = problem.backend.namespace
        y = problem.soft_target()
        a = (middle * y - 1.0) / (1.0 + tau)
        return xp.where(a < 0, a, xp.zeros_like(a)) * y


def _tolerance(xp: Any, x: Array) -> float:
    """Return how far a dual point may be off by rounding."""
    return float(8.0 * xp.finfo(x.dtype).eps ** 0.5)
