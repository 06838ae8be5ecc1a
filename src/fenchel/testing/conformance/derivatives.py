"""Members that differentiate, map and compile."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import backend_of, namespace
from .tools import Tools, require

__all__ = ["CHECKS"]


def _cubes(x: Any) -> Any:
    """Return the sum of cubes, as operators write it: in the namespace of what `x` is now."""
    return namespace(x).sum(x * x * x)


def _dot(x: Any, y: Any) -> Any:
    return namespace(x, y).sum(x * y)


def _value_and_grad(t: Tools) -> None:
    value, slope = t.backend.value_and_grad(_cubes)(t.array([1.0, 2.0]))
    t.same(value, 9.0, "the value")
    t.same(slope, [3.0, 12.0], "the gradient")


def _argnums(t: Tools) -> None:
    def f(x: Any, y: Any) -> Any:
        return _dot(x, y), {"x": x}

    x, y = t.array([1.0, 2.0]), t.array([3.0, 4.0])
    (value, aux), slopes = t.backend.value_and_grad(f, argnums=(1, 0), has_aux=True)(x, y)
    t.same(value, 11.0, "the value")
    t.same(aux["x"], [1.0, 2.0], "the auxiliary result")
    t.same(slopes[0], [1.0, 2.0], "the gradient in the second argument")
    t.same(slopes[1], [3.0, 4.0], "the gradient in the first argument")


def _containers(t: Tools) -> None:
    def f(params: Any) -> Any:
        return _dot(params["a"], params["b"][0])

    params = {"a": t.array([1.0, 2.0]), "b": (t.array([5.0, 7.0]),)}
    _, slope = t.backend.value_and_grad(f)(params)
    t.same(slope["a"], [5.0, 7.0], "the gradient in a leaf")
    t.same(slope["b"][0], [1.0, 2.0], "the gradient in a nested leaf")


def _vjp(t: Tools) -> None:
    out, pullback = t.backend.vjp(lambda x, y: (x * y, x + y), t.array([2.0]), t.array([3.0]))
    t.same(out[0], [6.0], "the value")
    found = pullback((t.array([1.0]), t.array([10.0])))
    require(isinstance(found, tuple) and len(found) == 2, "the pullback gives no tuple of two")
    t.same(found[0], [13.0], "the cotangent of x")
    t.same(found[1], [12.0], "the cotangent of y")


def _jvp(t: Tools) -> None:
    primals, tangents = (t.array([2.0]), t.array([3.0])), (t.array([1.0]), t.array([10.0]))
    value, slope = t.backend.jvp(lambda x, y: x * y, primals, tangents)
    t.same(value, [6.0], "the value")
    t.same(slope, [23.0], "the derivative along the tangents")


def _linearize(t: Tools) -> None:
    value, push = t.backend.linearize(lambda x: x * x, t.array([3.0, 4.0]))
    t.same(value, [9.0, 16.0], "the value")
    t.same(push(t.array([1.0, 0.0])), [6.0, 0.0], "the derivative along e_1")
    t.same(push(t.array([0.0, 1.0])), [0.0, 8.0], "the derivative along e_2")


def _stop_gradient(t: Tools) -> None:
    x = t.array([2.0, 3.0])
    t.same(t.backend.stop_gradient(x), [2.0, 3.0], "the value")
    _, slope = t.backend.value_and_grad(lambda x: _dot(x, _stopped(x)))(x)
    t.same(slope, [2.0, 3.0], "the gradient of x stop(x)")
    _, tangent = t.backend.jvp(lambda x: x * _stopped(x), (x,), (t.array([1.0, 1.0]),))
    t.same(tangent, [2.0, 3.0], "the forward derivative of x stop(x)")


def _stopped(x: Any) -> Any:
    return backend_of(x).stop_gradient(x)


def _second_order(t: Tools) -> None:
    x, v = t.array([1.0, 2.0]), t.array([1.0, -1.0])

    def gradient(x: Any) -> Any:
        return t.backend.value_and_grad(_cubes)(x)[1]

    _, forward = t.backend.jvp(gradient, (x,), (v,))
    t.same(forward, [6.0, -12.0], "forward over reverse")
    _, twice = t.backend.value_and_grad(lambda x: _dot(gradient(x), v))(x)
    t.same(twice, [6.0, -12.0], "reverse over reverse")


def _nested(t: Tools) -> None:
    """Tangents of two levels stay apart: d/dx (x d/dy (x + y)) = 1."""

    def outer(x: Any) -> Any:
        one = namespace(x).ones_like(x)
        return x * t.backend.jvp(lambda y: x + y, (one,), (one,))[1]

    x = t.array([3.0])
    _, slope = t.backend.jvp(outer, (x,), (t.array([1.0]),))
    t.same(slope, [1.0], "the nested derivative")


def _integers(t: Tools) -> None:
    def f(x: Any) -> Any:
        xp = namespace(x)
        order = xp.argsort(x, axis=-1)
        return _dot(xp.take_along_axis(x, order, axis=-1), t.array([1.0, 10.0, 100.0]))

    _, slope = t.backend.value_and_grad(f)(t.array([3.0, 1.0, 2.0]))
    t.same(slope, [100.0, 1.0, 10.0], "the gradient through a permutation")


def _segments(t: Tools) -> None:
    ids = t.array([[0, 1, 0]])

    def f(x: Any) -> Any:
        total = backend_of(x).segment_sum(x, ids, 2)
        return _dot(total, total)

    x, v = t.array([[1.0, 2.0, 3.0]]), t.array([[1.0, 0.0, 0.0]])
    _, slope = t.backend.value_and_grad(f)(x)
    t.same(slope, [[8.0, 4.0, 8.0]], "the gradient through segment_sum")

    def gradient(x: Any) -> Any:
        return t.backend.value_and_grad(f)(x)[1]

    _, second = t.backend.jvp(gradient, (x,), (v,))
    t.same(second, [[2.0, 0.0, 2.0]], "the second derivative through segment_sum")


def _vmap(t: Tools) -> None:
    x = t.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    mapped = t.backend.vmap(lambda row, c: namespace(row).sum(row) * c, in_axes=(0, None))
    t.same(mapped(x, t.array(10.0)), [30.0, 70.0, 110.0], "vmap with a constant")
    columns = t.backend.vmap(lambda column: column * 2.0, in_axes=1, out_axes=1)(x)
    t.same(columns, 2.0 * t.like(x), "vmap over the second axis, put back there")


def _vmap_grad(t: Tools) -> None:
    def gradient(x: Any) -> Any:
        return t.backend.value_and_grad(_cubes)(x)[1]

    x = np.asarray([[1.0, 2.0], [3.0, 4.0]])
    t.same(t.backend.vmap(gradient)(t.array(x)), 3 * x**2, "vmap of a gradient")


def _jit(t: Tools) -> None:
    compiled = t.backend.jit(lambda x: {"y": x * 2.0})
    t.same(compiled(t.array([1.0]))["y"], [2.0], "a compiled function")


def _checkpoint(t: Tools) -> None:
    remade = t.backend.checkpoint(lambda x: x * x * x)
    _, slope = t.backend.value_and_grad(lambda x: namespace(x).sum(remade(x)))(t.array([2.0]))
    t.same(slope, [12.0], "the gradient through a checkpoint")


def _native(t: Tools) -> None:
    require(isinstance(t.backend.native_autodiff, bool), "`native_autodiff` is no bool")


CHECKS = {
    "native_autodiff": _native,
    "value_and_grad": _value_and_grad,
    "value_and_grad, argnums and has_aux": _argnums,
    "value_and_grad, containers": _containers,
    "vjp": _vjp,
    "jvp": _jvp,
    "linearize": _linearize,
    "stop_gradient": _stop_gradient,
    "second derivatives": _second_order,
    "nested levels": _nested,
    "integers carry no derivative": _integers,
    "segment_sum, derivatives": _segments,
    "vmap": _vmap,
    "vmap of a gradient": _vmap_grad,
    "jit": _jit,
    "checkpoint": _checkpoint,
}
