"""Fenchel-Young losses from oracles: a maximum, or an argmax with its regularizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import namespace
from ..operators._arguments import finish, prepare
from ..trees import register_dataclass
from ._conjugate_by_newton import attained_conjugate
from ._loss import Loss
from ._problem import Problem, differentiates

__all__ = ["fenchel_young_from_argmax", "fenchel_young_from_max"]

Array = Any
Oracle = Callable[[Array], Array]


def fenchel_young_from_max(max_fn: Oracle, omega: Oracle | None = None) -> Loss:
    r"""Return the Fenchel-Young loss of a regularised maximum.

    :math:`L(\theta, y) = M(\theta) + \Omega(y) - \langle \theta, y \rangle` with the conjugate
    :math:`\Omega = M^*`, so that the loss is 0 where the gradient of the maximum is the target.

    Parameters
    ----------
    max_fn
        Convex function of scores (..., n), along the last axis; returns (...).
    omega
        Its conjugate, a function of targets (..., n). By default it is found by Newton's method,
        with n Hessian products a step, which suits small n: give it where it is known.

    Returns
    -------
    Loss
        Called as every loss of this package; its `link` is the gradient of `max_fn`.

    Raises
    ------
    TypeError
        If `max_fn` is not callable, or `omega` is given and is not.

    Notes
    -----
    *Derivatives*: those of `max_fn` in the scores; first ones in the target. Source:
    arXiv 1901.02324.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import fenchel_young_from_max
    >>> from fenchel.special import logsumexp
    >>> loss = fenchel_young_from_max(logsumexp)
    >>> scores = np.asarray([1.0, 2.0, 0.5])
    >>> abs(float(loss(scores, loss.link(scores)))) < 1e-12
    True
    >>> round(float(loss(scores, np.asarray(0))), 6)
    1.464369
    """
    _check_callable("max_fn", max_fn)
    if omega is not None:
        _check_callable("omega", omega)
    return _FromMax(max_fn, omega)


def fenchel_young_from_argmax(argmax_fn: Oracle, omega: Oracle) -> Loss:
    r"""Return the Fenchel-Young loss of a regularised argmax and its regularizer.

    Parameters
    ----------
    argmax_fn
        Function of scores (..., n), along the last axis, that returns the maximiser of
        <p, scores> - omega(p).
    omega
        The regularizer, a function of points (..., n); returns (...).

    Returns
    -------
    Loss
        Called as every loss of this package; its `link` is `argmax_fn`.

    Raises
    ------
    TypeError
        If one of the two is not callable.

    Notes
    -----
    *Derivatives*: by Danskin's theorem the gradient in the scores is the argmax minus the target;
    `omega` is not differentiated at the argmax. Exact to second order; first in the target.
    Source: arXiv 1901.02324.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import fenchel_young_from_argmax
    >>> from fenchel.operators import sparsemax
    >>> loss = fenchel_young_from_argmax(sparsemax, lambda p: 0.5 * (p * p).sum(-1))
    >>> float(loss(np.asarray([0.5, 0.25, 0.0]), np.asarray(1)).round(6))
    0.395833
    """
    _check_callable("argmax_fn", argmax_fn)
    _check_callable("omega", omega)
    return _FromArgmax(argmax_fn, omega)


def _check_callable(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"`{name}` must be callable; got {type(value).__qualname__}")


@register_dataclass(static=("max_fn", "omega"))
@dataclass(frozen=True)
class _FromMax(Loss):
    """See `fenchel_young_from_max`."""

    max_fn: Oracle
    omega: Oracle | None

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the gradient of the maximum (see `Loss.link`)."""
        ready = prepare(scores, axis, where)
        return finish(ready, self._argmax(ready.backend, ready.x))

    def _argmax(self, backend: Any, x: Array) -> Array:
        def total(x: Array) -> Array:
            rows = self.max_fn(x)
            return namespace(rows).sum(rows)

        return backend.value_and_grad(total)(x)[1]

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        backend = problem.backend
        x, y = problem.x, problem.soft_target()
        rows = self.max_fn(x)[..., None] - _product(problem, x, y)
        if not target_term:
            return rows
        if self.omega is not None:
            rows = rows + self.omega(y)[..., None]
        else:
            best = attained_conjugate(backend, self.max_fn, x, y)
            rows = rows + (_product(problem, best, y) - self.max_fn(best)[..., None])
        return _positive(problem, rows)

    def _gradient(self, problem: Problem) -> Array:
        return self._argmax(problem.backend, problem.x) - problem.soft_target()


@register_dataclass(static=("argmax_fn", "omega"))
@dataclass(frozen=True)
class _FromArgmax(Loss):
    """See `fenchel_young_from_argmax`."""

    argmax_fn: Oracle
    omega: Oracle

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the argmax (see `Loss.link`)."""
        ready = prepare(scores, axis, where)
        return finish(ready, self.argmax_fn(ready.x))

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        backend, xp = problem.backend, problem.backend.namespace
        stop = backend.stop_gradient
        x, y = problem.x, problem.soft_target()
        p = self.argmax_fn(x)
        fixed, data = stop(p), stop(x)
        value = _product(problem, data, fixed) - self.omega(fixed)[..., None]
        rows = stop(value) - _product(problem, x, y)
        if differentiates(backend):
            # The gradient p and the Hessian dp/dx, without a derivative of omega.
            safe = xp.where(data == float("-inf"), xp.zeros_like(x), x)
            change, moved = safe - stop(safe), p - stop(p)
            rows = rows + xp.sum(change * fixed + 0.5 * moved * change, axis=-1, keepdims=True)
        if not target_term:
            return rows
        return _positive(problem, rows + self.omega(y)[..., None])

    def _gradient(self, problem: Problem) -> Array:
        return self.argmax_fn(problem.x) - problem.soft_target()


def _product(problem: Problem, x: Array, y: Array) -> Array:
    """Return <x, y> of each row; entries of -inf without a target do not count."""
    xp = problem.backend.namespace
    out = (problem.backend.stop_gradient(x) == float("-inf")) & (y == 0)
    return xp.sum(xp.where(out, xp.zeros_like(x), x) * y, axis=-1, keepdims=True)


def _positive(problem: Problem, rows: Array) -> Array:
    """Return rows without what rounding left below 0, with their derivatives."""
    xp, stop = problem.backend.namespace, problem.backend.stop_gradient
    low = stop(rows)
    return rows - xp.where(low < 0, low, xp.zeros_like(low))
