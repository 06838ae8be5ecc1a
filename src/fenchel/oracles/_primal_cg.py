"""The Gauss-Newton system by conjugate gradients on the parameters, preconditioned by N."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..trees import dot
from ._batch import Model
from ._dual_cg import Array, Map, Solution, Vector
from ._loop import iterate, rounding

__all__ = ["primal_cg"]


class _State(NamedTuple):
    count: Any
    d: Vector
    image: Array  # J d
    bent: Array  # H J d
    residual: Vector  # A d + b
    search: Vector
    square: Array  # <residual, N^-1 residual>
    value: Array
    convex: Array


def primal_cg(model: Model, curvature: Map, b: Vector, *, max_iter: int, rtol: float) -> Solution:
    """Solve (J^T omega H J + N) d = -b.

    The pair returned is that of the dual point grad h + H J d, whose direction d - N^-1 (A d + b)
    is closer by one step, and descends too: <b, d> is unchanged, as the residual of conjugate
    gradients is orthogonal to b.
    """
    push, pull, near = model.line.push, model.pull, model.near
    backend = model.backend
    xp = backend.namespace
    zeros = [xp.zeros_like(x) for x in b]
    square = near.dual_square(b)
    least = rounding(backend, square) * square

    def going(s: _State) -> Any:
        unsolved = 0.5 * s.square > rtol * s.value
        return (s.count < max_iter) & (s.square > least) & unsolved & s.convex

    def step(s: _State) -> _State:
        image = push(s.search)
        bent = curvature(image)
        kept = near.apply(s.search)
        product = [x + y for x, y in zip(pull(bent), kept, strict=True)]
        curved = dot(s.search, product)
        convex = curved > 0
        length = xp.where(convex, s.square / xp.where(convex, curved, xp.ones_like(curved)), 0.0)
        d = [x + length * p for x, p in zip(s.d, s.search, strict=True)]
        residual = [x + length * p for x, p in zip(s.residual, product, strict=True)]
        short = near.solve(residual)
        square = dot(residual, short)
        ratio = square / s.square
        search = [ratio * p - x for p, x in zip(s.search, short, strict=True)]
        value = 0.5 * (square - dot(b, d))
        return _State(
            s.count + 1, d, s.image + length * image, s.bent + length * bent, residual, search,
            square, value, convex,
        )  # fmt: skip

    nothing = xp.zeros_like(model.outputs)
    search = [-x for x in near.solve(b)]
    first = _State(
        0, zeros, nothing, nothing, list(b), search, square, 0.5 * square, square == square
    )
    last = iterate(backend, going, step, first, square)
    short = near.solve(last.residual)
    d = [x - y for x, y in zip(last.d, short, strict=True)]
    image = last.image - push(short)
    bent = curvature(image)
    gap = 0.5 * model.inner(image - last.image, bent - last.bent)
    gap = xp.maximum(gap, xp.zeros_like(gap))
    return Solution(d, -last.bent, image, bent, gap, last.count)
