"""The Gauss-Newton system by conjugate gradients on the dual, without a factor of the Hessians.

With N = M/gamma + decay, K = J N^-1 J^T, Hessians H and weights omega, the direction that solves
(J^T omega H J + N) d = -b is

    d = -N^-1 (b - J^T omega H u),        (I + K omega H) u = J N^-1 b.

I + K omega H is self-adjoint in the semi-inner product <., omega H .>, in which these are the
conjugate gradients of R^T K R + I for any factor omega H = R R^T: same iterates, t = R^T u. A step
costs one pull, one push and one product with H. Of the residual r, J d = -u - r comes for free, and
so does the duality gap <r, omega H r>/2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ._batch import Model
from ._loop import iterate, rounding

__all__ = ["Solution", "dual_cg"]

Array = Any
Vector = list[Any]
Map = Callable[[Array], Array]


class Solution(NamedTuple):
    """A direction and its dual point grad h - `lift`, of one quadratic model.

    Attributes
    ----------
    direction
        d = -N^-1 (b - J^T omega lift), list of leaves.
    lift
        H u, (m, k).
    image, bent
        J d and H J d, (m, k).
    gap
        Duality gap of the pair.
    iterations
        Steps taken.
    """

    direction: Vector
    lift: Array
    image: Array
    bent: Array
    gap: Array
    iterations: Any


class _State(NamedTuple):
    count: Any
    u: Array
    lift: Array
    residual: Array
    bent: Array
    search: Array
    search_bent: Array
    square: Array
    pulled: Vector  # J^T omega lift
    value: Array  # of the dual below that of the model at 0
    convex: Array


def dual_cg(
    model: Model,
    curvature: Map,
    b: Vector,
    *,
    max_iter: Any,
    rtol: float,
    start: Array | None = None,
) -> Solution:
    """Solve (J^T omega H J + N) d = -b; `start` is a first guess of u."""
    push, pull, near, inner = model.line.push, model.pull, model.near, model.inner
    backend = model.backend
    xp = backend.namespace

    def value(u: Array, lift: Array, pulled: Vector) -> Array:
        rest = [x - y for x, y in zip(b, pulled, strict=True)]
        return 0.5 * (inner(u, lift) + near.dual_square(rest))

    right = push(near.solve(b))
    if start is None:
        u = lift = xp.zeros_like(right)
        pulled = [xp.zeros_like(x) for x in b]
        residual = right
    else:
        u, lift = start, curvature(start)
        pulled = pull(lift)
        residual = right - u - push(near.solve(pulled))
    bent = curvature(residual)
    square = inner(residual, bent)
    initial = square if start is None else inner(right, curvature(right))
    least = rounding(backend, right) * initial

    def going(s: _State) -> Any:
        unsolved = 0.5 * s.square > rtol * s.value
        return (s.count < max_iter) & (s.square > least) & unsolved & s.convex

    def step(s: _State) -> _State:
        drop = pull(s.search_bent)
        product = s.search + push(near.solve(drop))
        curved = inner(s.search_bent, product)
        convex = curved > 0
        length = xp.where(convex, s.square / xp.where(convex, curved, xp.ones_like(curved)), 0.0)
        u, lift = s.u + length * s.search, s.lift + length * s.search_bent
        pulled = [x + length * y for x, y in zip(s.pulled, drop, strict=True)]
        residual = s.residual - length * product
        bent = curvature(residual)
        square = inner(residual, bent)
        ratio = square / s.square
        search, search_bent = residual + ratio * s.search, bent + ratio * s.search_bent
        return _State(
            s.count + 1, u, lift, residual, bent, search, search_bent, square, pulled,
            value(u, lift, pulled), convex,
        )  # fmt: skip

    first = _State(
        0, u, lift, residual, bent, residual, bent, square, pulled, value(u, lift, pulled),
        square == square,
    )  # fmt: skip
    last = iterate(backend, going, step, first, square)
    rest = [x - y for x, y in zip(b, last.pulled, strict=True)]
    return Solution(
        [-x for x in near.solve(rest)],
        last.lift,
        -last.u - last.residual,
        -last.lift - last.bent,
        0.5 * xp.maximum(last.square, xp.zeros_like(last.square)),
        last.count,
    )
