"""Decompositions of one matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fitting import like_tuple
from ..traced import Array, Traced
from .base import Rule

__all__ = ["Spectral"]


class Spectral(Rule):
    """A function of one matrix with one or more values, given by its forward derivative alone.

    The pullback is the transpose of `push_forward(xp, t, outs, x, **params)`, found by running the
    tape over that linear map: what a decomposition costs dwarfs it, and there is one formula to
    get right instead of two. A single value is wrapped by `single=True`.
    """

    def __init__(self, push_forward: Callable[..., Any], *, single: bool = False) -> None:
        self.push_forward = push_forward
        self.single = single

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function; named tuples of the base library keep their type."""

        def apply(x: Array, /, **params: Any) -> Any:
            if type(x) is not Traced:
                return fn(x, **params)
            value = x._value
            outs = apply(value, **params)
            if self.single:
                return x._level.record(self, (x._slot,), (value,), outs, params)
            results = x._level.record_many(self, (x._slot,), (value,), tuple(outs), params)
            return like_tuple(outs, results)

        return apply

    def push(self, xp: Any, tangents: Any, args: Any, out: Any, params: Any) -> Any:
        """Return the tangents of the values."""
        return self.push_forward(xp, tangents[0], out, *args, **params)

    def pull(self, xp: Any, g: Any, node: Any, held: list[Any]) -> None:
        """Transpose the forward derivative."""
        from ..transforms import transpose_of

        _, (slot,), (x,), out, params = node
        space = xp.space

        def forward(t: Array) -> Any:
            return self.push_forward(space, t, out, x, **params)

        cotangents = [g] if self.single else list(g)
        c = transpose_of(space, forward, x, cotangents)
        have = held[slot]
        held[slot] = c if have is None else xp.add(have, c)
