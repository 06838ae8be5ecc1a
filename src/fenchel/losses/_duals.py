"""Conjugates of Fenchel-Young and Fitzpatrick losses, and their proximal points.

The conjugate of a Fenchel-Young loss in its scores is Omega(a + y) - Omega(y); that of a
Fitzpatrick loss is <a, grad Psi(a + y)>.
"""

from __future__ import annotations

from typing import Any

from ..backend import backend_of
from ..regularizers import Gini, Shannon, SquaredNorm
from ._pieces import per_row
from ._problem import Problem
from ._prox import shannon_prox, simplex_prox, unit_prox

__all__ = [
    "fenchel_young_conjugate",
    "fenchel_young_prox",
    "fitzpatrick_conjugate",
    "fitzpatrick_prox",
]

Array = Any


def fenchel_young_conjugate(problem: Problem, own: Any) -> Array:
    """Return Omega(a + y) - Omega(y) of each row, inf off the domain."""
    backend = problem.backend
    y = problem.soft_target()
    mu = problem.x + y
    rows = per_row(own, own._value(backend, mu)) - per_row(own, own._value(backend, y))
    return _inside(problem, own, mu, rows)


def fitzpatrick_conjugate(problem: Problem, own: Any) -> Array:
    """Return <a, grad Psi(a + y)> of each row, inf off the domain."""
    backend, xp = problem.backend, problem.backend.namespace
    mu = problem.x + problem.soft_target()
    products = problem.x * own._slope(backend, mu)
    products = xp.where(problem.x == 0, xp.zeros_like(products), products)
    rows = products if own.elementwise else xp.sum(products, axis=-1, keepdims=True)
    return _inside(problem, own, mu, rows)


def _inside(problem: Problem, own: Any, mu: Array, rows: Array) -> Array:
    """Return rows, inf where a point is off the domain by more than rounding."""
    backend, xp = problem.backend, problem.backend.namespace
    data = backend.stop_gradient(mu)
    tolerance = float(8.0 * xp.finfo(mu.dtype).eps ** 0.5)
    if own.elementwise:
        inside = (data >= -tolerance) & (data <= 1.0 + tolerance)
    else:
        inside = own.domain.contains(data, tolerance)[..., None]
    return xp.where(inside, rows, xp.full_like(rows, float("inf")))


def fenchel_young_prox(problem: Problem, own: Any, middle: Array, tau: Any) -> Array:
    """Return the proximal point; see `_prox`."""
    backend = problem.backend
    y = problem.soft_target()
    c = middle + tau * y
    if isinstance(own, SquaredNorm | Gini):
        return own.domain.project(c / (1.0 + tau)) - y
    if isinstance(own, Shannon):
        return shannon_prox(backend, c, tau) - y
    _check_separable(own)

    def slope(m: Array) -> Array:
        return own._slope(backend_of(m), m)

    solve = unit_prox if own.elementwise else simplex_prox
    return solve(backend, c, tau, slope) - y


def fitzpatrick_prox(problem: Problem, own: Any, middle: Array, tau: Any) -> Array:
    """Return the proximal point: slopes phi'(m) + (m - y) phi''(m) take the place of phi'(m)."""
    backend = problem.backend
    y = problem.soft_target()
    c = middle + tau * y
    if isinstance(own, SquaredNorm | Gini):
        return own.domain.project((c + y) / (2.0 + tau)) - y
    fixed = backend.stop_gradient(y)

    def slope(m: Array) -> Array:
        plain = backend_of(m)
        return own._slope(plain, m) + (m - fixed) * own._curvature(plain, m)

    solve = unit_prox if own.elementwise else simplex_prox
    return solve(backend, c, tau, slope) - y


def _check_separable(own: Any) -> None:
    if not own.elementwise and (not own.simplex or type(own).__name__ == "NormEntropy"):
        raise TypeError(
            "`regularizer` must be separable on the simplex, elementwise or a squared norm for the "
            f"proximal point of its conjugate; got {type(own).__qualname__}"
        )
