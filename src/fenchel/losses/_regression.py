"""Losses that are sums over entries of scores against targets of the same shape."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ._loss import Loss
from ._problem import Problem

__all__ = ["Entrywise"]

Array = Any


class Entrywise(Loss):
    """A sum over `axis` of a function of each entry; weights are those of the entries."""

    _masked = 0.0
    _labels = True

    def dual_point(self, dual: Array, target: Array, /) -> Array:
        """Return the point of `dual_set` that a dual vector stands for: itself."""
        return dual

    def dual_vector(self, point: Array, target: Array, /) -> Array:
        """Return the dual vector that a point of `dual_set` stands for: itself."""
        return point

    @abstractmethod
    def _entries(self, problem: Problem) -> Array:
        """Return the loss of each entry."""

    @abstractmethod
    def _slopes(self, problem: Problem) -> Array:
        """Return the derivative of each entry's loss in its score."""

    @abstractmethod
    def _conjugate_entries(self, problem: Problem) -> Array:
        """Return the conjugate entry by entry at the dual points ``problem.x``."""

    def _rows(self, problem: Problem, target_term: bool) -> Array:
        return _total(problem, self._entries(problem))

    def _gradient(self, problem: Problem) -> Array:
        return _counted(problem, self._slopes(problem))

    def _conjugate(self, problem: Problem) -> Array:
        return _total(problem, self._conjugate_entries(problem))


def _counted(problem: Problem, entries: Array) -> Array:
    """Return entries times their weights, those that are masked 0."""
    xp = problem.backend.namespace
    if problem.mask is not None:
        entries = xp.where(problem.mask, entries, xp.zeros_like(entries))
    return entries if problem.entry_weights is None else entries * problem.entry_weights


def _total(problem: Problem, entries: Array) -> Array:
    return problem.backend.namespace.sum(_counted(problem, entries), axis=-1, keepdims=True)
