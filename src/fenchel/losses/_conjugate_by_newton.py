"""The conjugate of a convex function by Newton's method, for functions known only by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import namespace
from ..kernels import reference_kernel

__all__ = ["attained_conjugate"]

Array = Any

_STEPS = 50
_RIDGE = 1e-10
_TINY = 1e-30
_FAR = -1e3


def attained_conjugate(backend: Any, f: Callable[[Array], Array], start: Array, y: Array) -> Array:
    """Return points x, as constants, where <x, y> - f(x) is the conjugate of `f` at `y`.

    Newton's method row by row from `start`, damped; a step that does not gain is halved. Where the
    supremum is not attained (targets on a face) the points go off to infinity and the value to the
    supremum, linearly.
    """
    data = backend.stop_gradient(start), backend.stop_gradient(y)
    kernel = reference_kernel(backend, lambda plain, x, y: _newton(plain, f, x, y))
    return backend.stop_gradient(kernel(*data))


def _newton(backend: Any, f: Callable[[Array], Array], x: Array, y: Array) -> Array:
    xp = backend.namespace
    x = xp.where(x == float("-inf"), xp.full_like(x, _FAR), x)
    eye = xp.eye(x.shape[-1], dtype=x.dtype, device=backend.device_of(x))

    def gradient(x: Array) -> Array:
        def total(x: Array) -> Array:
            rows = f(x)
            return namespace(rows).sum(rows)

        return backend.value_and_grad(total)(x)[1]

    def value(x: Array) -> Array:
        return xp.sum(x * y, axis=-1, keepdims=True) - f(x)[..., None]

    def hessian(x: Array) -> Array:
        columns = [
            backend.jvp(gradient, (x,), (xp.zeros_like(x) + eye[j, :],))[1]
            for j in range(x.shape[-1])
        ]
        return xp.stack(columns, axis=-1)

    def body(_: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        x, length = state
        residual, h = y - gradient(x), hessian(x)
        size = xp.max(xp.abs(h), axis=(-2, -1), keepdims=True)
        # Flat directions (constants, on the simplex) get no step.
        step = xp.linalg.solve(h + (size * _RIDGE + _TINY) * eye, residual[..., None])[..., 0]
        moved = x + length * step
        better = value(moved) >= value(x)
        longer = xp.minimum(2.0 * length, xp.ones_like(length))
        return xp.where(better, moved, x), xp.where(better, longer, 0.5 * length)

    length = xp.ones_like(x[..., :1])
    return backend.fori_loop(0, _STEPS, body, (x, length))[0]
