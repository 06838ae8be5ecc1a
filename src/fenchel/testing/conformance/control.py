"""Members that steer: loops, branches, code on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import backend_of, namespace
from .tools import Tools

__all__ = ["CHECKS"]


def _while_loop(t: Tools) -> None:
    start = {"x": t.array(1.0), "count": t.array(0)}
    found = t.backend.while_loop(
        lambda c: c["x"] < 100.0, lambda c: {"x": c["x"] * 3.0, "count": c["count"] + 1}, start
    )
    t.same(found["x"], 243.0, "the carry")
    t.same(found["count"], 5, "the count")
    t.same(t.backend.while_loop(lambda x: x < 0.0, lambda x: x, t.array(1.0)), 1.0, "no step")


def _fori_loop(t: Tools) -> None:
    found = t.backend.fori_loop(2, 5, lambda i, c: c + i, t.array(0.0))
    t.same(found, 9.0, "the sum of 2, 3, 4")
    t.same(t.backend.fori_loop(3, 3, lambda i, c: c + 1.0, t.array(7.0)), 7.0, "no step")


def _fori_loop_derivative(t: Tools) -> None:
    def f(x: Any) -> Any:
        return namespace(x).sum(backend_of(x).fori_loop(0, 3, lambda _, c: c * x, x))

    _, slope = t.backend.value_and_grad(f)(t.array([2.0]))
    t.same(slope, [32.0], "the gradient of x^4")


def _scan(t: Tools) -> None:
    xs = {"a": t.array([1.0, 2.0, 3.0]), "b": t.array([[1.0], [2.0], [3.0]])}

    def step(carry: Any, x: Any) -> Any:
        return carry + x["a"], (carry, x["b"] * 2.0)

    carry, (before, doubled) = t.backend.scan(step, t.array(0.0), xs)
    t.same(carry, 6.0, "the carry")
    t.same(before, [0.0, 1.0, 3.0], "the stacked carries")
    t.same(doubled, [[2.0], [4.0], [6.0]], "the stacked results")


def _scan_length(t: Tools) -> None:
    carry, ys = t.backend.scan(lambda c, _: (c * 2.0, c), t.array(1.0), None, length=4)
    t.same(carry, 16.0, "the carry")
    t.same(ys, [1.0, 2.0, 4.0, 8.0], "the stacked results")


def _cond(t: Tools) -> None:
    for flag, wanted in ((True, 5.0), (False, 6.0)):
        found = t.backend.cond(t.array(flag), lambda a, b: a + b, lambda a, b: a * b, *_pair(t))
        t.same(found, wanted, f"the branch of {flag}")


def _pair(t: Tools) -> tuple[Any, Any]:
    return t.array(2.0), t.array(3.0)


def _host_call(t: Tools) -> None:
    x = t.array([3.0, 1.0, 2.0])
    found = t.backend.host_call(lambda x: np.sort(x), x, x)
    t.same(found, [1.0, 2.0, 3.0], "the result of NumPy code")


CHECKS = {
    "while_loop": _while_loop,
    "fori_loop": _fori_loop,
    "fori_loop, derivative": _fori_loop_derivative,
    "scan": _scan,
    "scan, by length": _scan_length,
    "cond": _cond,
    "host_call": _host_call,
}
