r"""The semi-dual of sparsity-constrained transport, and its solvers.

With potentials alpha of the rows and scores z (in units of the temperature),

    phi(alpha) = sum_e max {<alpha + z_e, y> - |y|^2 / 2 : y >= 0, sum y = b_e, |y|_0 <= C}
                 - <alpha, a>

is convex and piecewise quadratic, and its gradient is the error of the row sums of the plan. The
best y is the projection of the C largest entries of alpha + z_e on a simplex: arXiv 2209.15466.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, Backend

__all__ = ["adam_potentials", "lbfgs_potentials"]

_STEP, _DECAY, _SQUARES, _EPS = 1e-2, 0.9, 0.999, 1e-8
_MEMORY, _HALVINGS, _SLOPE = 8, 20, 1e-4

_Parts = tuple[Array, Array, Array, Array, Array]


class _Semidual(NamedTuple):
    """The problem: scores, marginals, and the numbers 1, ..., C."""

    backend: Backend
    z: Array  # (..., n, m), -inf where no mass may go
    a: Array
    b: Array
    ranks: Array

    def columns(self, alpha: Array) -> tuple[Array, Array, Array]:
        """Return the largest entries of each column, their rows, and the mass they get."""
        xp = self.backend.namespace
        shifted = xp.matrix_transpose(self.z + alpha[..., None])
        top, index = self.backend.top_k(shifted, self.ranks.shape[-1])
        valid = top > float("-inf")
        top = xp.where(valid, top, xp.zeros_like(top))
        mass = self.b[..., None]
        ranks = self.ranks if self.ranks.ndim == 1 else self.ranks[..., None, :]
        inside = valid & (ranks * top > xp.cumulative_sum(top, axis=-1) - mass)
        count = xp.sum(xp.astype(inside, top.dtype), axis=-1, keepdims=True)
        total = xp.sum(xp.where(inside, top, xp.zeros_like(top)), axis=-1, keepdims=True)
        tau = (total - mass) / xp.where(count > 0, count, xp.ones_like(count))
        return top, index, xp.where(inside, top - tau, xp.zeros_like(top))

    def evaluate(self, alpha: Array) -> tuple[Array, Array]:
        """Return phi and its gradient."""
        xp = self.backend.namespace
        top, index, y = self.columns(alpha)
        flat = (*y.shape[:-2], y.shape[-2] * y.shape[-1])
        rows = self.backend.segment_sum(
            xp.reshape(y, flat), xp.reshape(index, flat), self.a.shape[-1]
        )
        value = xp.sum(y * top - y * y / 2, axis=(-2, -1)) - xp.sum(alpha * self.a, axis=-1)
        return value, rows - self.a

    def parts(self, alpha: Array) -> _Parts:
        """Return plan, ranking, value of the dual, gap and largest error of a row sum."""
        xp = self.backend.namespace
        *batch, n, m = self.z.shape
        _, index, y = self.columns(alpha)
        column = xp.arange(m, dtype=index.dtype, device=self.backend.device_of(index))
        place = index * m + column[:, None]
        flat = (*batch, m * y.shape[-1])
        plan = self.backend.segment_sum(xp.reshape(y, flat), xp.reshape(place, flat), n * m)
        plan = xp.reshape(plan, tuple(self.z.shape))
        value, gradient = self.evaluate(alpha)
        gap = xp.abs(xp.sum(alpha * gradient, axis=-1))
        ranking = self.z + alpha[..., None]
        return plan, ranking, -value, gap, xp.max(xp.abs(gradient), axis=-1)


def adam_potentials(
    backend: Backend, z: Array, a: Array, b: Array, ranks: Array, max_iter: int
) -> _Parts:
    """Solver: steps of Adam from 0, as the paper takes them."""
    xp = backend.namespace
    dual = _Semidual(backend, z, a, b, ranks)
    zero = xp.zeros_like(a)
    one = xp.ones_like(a[..., :1])

    def step(_: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        alpha, mean, square, decay, decay_squares = state
        _, gradient = dual.evaluate(alpha)
        mean = _DECAY * mean + (1 - _DECAY) * gradient
        square = _SQUARES * square + (1 - _SQUARES) * gradient * gradient
        decay, decay_squares = decay * _DECAY, decay_squares * _SQUARES
        size = xp.sqrt(square / (1 - decay_squares)) + _EPS
        alpha = alpha - _STEP * (mean / (1 - decay)) / size
        return alpha, mean, square, decay, decay_squares

    start = (zero, zero, zero, one, one)
    return dual.parts(backend.fori_loop(0, int(max_iter), step, start)[0])


class _Quasi(NamedTuple):
    """State of L-BFGS; the newest pair of the memory is last."""

    alpha: Array
    value: Array
    gradient: Array
    steps: tuple[Array, ...]
    changes: tuple[Array, ...]
    weights: tuple[Array, ...]  # 1 / <step, change>, 0 for a pair that is not there


def lbfgs_potentials(
    backend: Backend, z: Array, a: Array, b: Array, ranks: Array, max_iter: int
) -> _Parts:
    """Solver: L-BFGS with halved steps, from 0."""
    xp = backend.namespace
    dual = _Semidual(backend, z, a, b, ranks)
    zero = xp.zeros_like(a)
    none = xp.zeros_like(a[..., :1])
    memory = (zero,) * _MEMORY
    start = _Quasi(zero, *dual.evaluate(zero), memory, memory, (none,) * _MEMORY)

    def step(_: Array, state: _Quasi) -> _Quasi:
        return _quasi_newton(dual, state)

    return dual.parts(backend.fori_loop(0, int(max_iter), step, start).alpha)


def _quasi_newton(dual: _Semidual, state: _Quasi) -> _Quasi:
    """One step: taken as far as it lowers phi enough, else not at all."""
    xp = dual.backend.namespace
    direction = _direction(dual, state)
    slope = _dot(xp, state.gradient, direction)
    alpha, value, gradient = _line_search(dual, state, direction, slope)
    change, move = gradient - state.gradient, alpha - state.alpha
    curvature = _dot(xp, change, move)
    usable = curvature > 1e-10 * _dot(xp, change, change)
    safe = xp.where(usable, curvature, xp.ones_like(curvature))
    weight = xp.where(usable, 1 / safe, xp.zeros_like(safe))
    return _Quasi(
        alpha,
        value,
        gradient,
        (*state.steps[1:], move),
        (*state.changes[1:], change),
        (*state.weights[1:], weight),
    )


def _direction(dual: _Semidual, state: _Quasi) -> Array:
    """Return minus the inverse Hessian of the memory times the gradient."""
    xp = dual.backend.namespace
    q, factors = state.gradient, []
    pairs = list(zip(state.steps, state.changes, state.weights, strict=True))
    for s, y, w in reversed(pairs):
        factor = w * _dot(xp, s, q)
        factors.append(factor)
        q = q - factor * y
    # before there is a pair, a step of length at most 1
    largest = xp.max(xp.abs(state.gradient), axis=-1, keepdims=True)
    size = 1 / xp.where(largest > 1, largest, xp.ones_like(largest))
    for _, y, w in pairs:
        norm = _dot(xp, y, y) * w
        size = xp.where(norm > 0, 1 / xp.where(norm > 0, norm, xp.ones_like(norm)), size)
    q = q * size
    for (s, y, w), factor in zip(pairs, reversed(factors), strict=True):
        q = q + (factor - w * _dot(xp, y, q)) * s
    return -q


def _line_search(
    dual: _Semidual, state: _Quasi, direction: Array, slope: Array
) -> tuple[Array, Array, Array]:
    """Halve the step until phi falls by a part of the slope; stay where it never does."""
    backend = dual.backend
    xp = backend.namespace
    width = xp.ones_like(slope)
    count = xp.zeros((), dtype=xp.int32, device=backend.device_of(slope))
    open_ = xp.ones_like(slope, dtype=xp.bool)
    start = (count, width, open_, state.alpha, state.value, state.gradient)

    def going(carry: tuple[Array, ...]) -> Array:
        return (carry[0] < _HALVINGS) & xp.any(carry[2])

    def halve(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        count, width, open_, alpha, value, gradient = carry
        trial = state.alpha + width * direction
        found, slopes = dual.evaluate(trial)
        enough = found[..., None] <= state.value[..., None] + _SLOPE * width * slope
        taken = open_ & enough & (slope < 0)
        alpha = xp.where(taken, trial, alpha)
        gradient = xp.where(taken, slopes, gradient)
        value = xp.where(taken[..., 0], found, value)
        return count + 1, width / 2, open_ & ~enough, alpha, value, gradient

    _, _, _, alpha, value, gradient = backend.while_loop(going, halve, start)
    return alpha, value, gradient


def _dot(xp: object, x: Array, y: Array) -> Array:
    return xp.sum(x * y, axis=-1, keepdims=True)  # type: ignore[attr-defined]
