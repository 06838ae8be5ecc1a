"""Derivatives of a direction: the root is found on constants, then corrected.

A direction d solves F(d, w, ...) = 0, the optimality of its model. It is found on plain values;
then d - A^-1 F(d, w, ...), with the derivative A of F in d at the solution, has the derivatives of
the exact solution. The correction is 0 in value, so that only its derivative is computed, and only
where one is asked for: a solve with the same operator in either mode.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..backend import Backend, backend_of
from ..parameters import known_to
from ..trees import is_array, map

__all__ = ["attach_derivative", "plain"]

Array = Any
Tree = Any
Vector = list[Any]


def plain(backend: Backend, tree: Tree) -> Tree:
    """Return a container of constants; of arrays without levels where a tape traces."""
    strip = getattr(backend, "plain", backend.stop_gradient)
    return map(lambda x: strip(x) if is_array(x) else x, tree)


def attach_derivative(
    backend: Backend,
    d: Vector,
    residual: Callable[[], Vector],
    solve: Callable[[Vector], Vector],
    live: Tree,
) -> Vector:
    """Return leaves of the value `d` with the derivative of d - solve(residual()).

    Parameters
    ----------
    backend
        Adapter of the live arrays.
    d
        Constant leaves.
    residual
        F at `d`, differentiable in the live arrays; zero but for truncation.
    solve
        A^-1, symmetric, on constant leaves.
    live
        Container of the arrays that may be differentiated.
    """
    zero = getattr(backend, "zero_with_derivative", None)
    if zero is None or not getattr(backend, "differentiates", _always)(live):
        return d
    shapes = [tuple(x.shape) for x in d]

    def on_vector(v: Array) -> Array:
        return _joined(solve(_split(v, shapes)))

    correction = zero(on_vector, _joined(residual()))
    d = [known_to(backend, x) for x in d]
    return [x - y for x, y in zip(d, _split(correction, shapes), strict=True)]


def _always(live: Tree) -> bool:
    return True


def _joined(leaves: Vector) -> Array:
    xp = backend_of(*leaves).namespace
    return xp.concat([xp.reshape(x, (-1,)) for x in leaves])


def _split(v: Array, shapes: list[tuple[int, ...]]) -> Vector:
    xp, parts, first = backend_of(v).namespace, [], 0
    for shape in shapes:
        parts.append(xp.reshape(v[first : first + prod(shape)], shape))
        first += prod(shape)
    return parts
