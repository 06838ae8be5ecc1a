"""Functions that are linear in an array, or in a list of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fitting import deepest, fit, split_level, spread
from ..traced import Array, Traced
from .base import Rule

__all__ = ["Linear", "Sequence"]


class Linear(Rule):
    """A linear function of one array, with its transpose `transpose(xp, g, x, *rest, **params)`.

    `function(xp)` finds the operation in a namespace, for the forward direction.
    """

    def __init__(
        self, transpose: Callable[..., Array], function: Callable[[Any], Callable[..., Array]]
    ) -> None:
        self.transpose = transpose
        self.function = function

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""

        def apply(x: Array, *rest: Any, **params: Any) -> Array:
            if type(x) is not Traced:
                return fn(x, *rest, **params)
            value = x._value
            if type(value) is Traced:
                out = apply(value, *rest, **params)
            else:
                out = fn(value, *rest, **params)
            return x._level.record(self, (x._slot,), (value, *rest), out, params)

        return apply

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangent of the argument."""
        slot = node[1][0]
        c = self.transpose(xp, g, *node[2], **node[4])
        have = held[slot]
        held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Apply the function to the tangent."""
        return self.function(xp)(tangents[0], *args[1:], **params)


class Sequence(Rule):
    """Linear in a list of arrays (`concat`, `stack`): `split(xp, g, arrays, **params)`."""

    def __init__(self, name: str, split: Callable[..., list[Array]]) -> None:
        self.name = name
        self.split = split

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""

        def apply(arrays: Any, /, **params: Any) -> Array:
            arrays = tuple(arrays)
            level = deepest(arrays)
            if level is None:
                return fn(arrays, **params)
            slots, values = split_level([space.accept(x) for x in arrays], level)
            return level.record(self, slots, values, apply(values, **params), params)

        return apply

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Hand each array its part of the cotangent."""
        _, slots, args, _, params = node
        for slot, x, part in zip(slots, args, self.split(xp, g, args, **params), strict=True):
            if slot is not None:
                c = fit(xp, part, x)
                have = held[slot]
                held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Join the tangents."""
        parts = [xp.zeros_like(x) if t is None else t for t, x in zip(tangents, args, strict=True)]
        return spread(xp, getattr(xp, self.name)(parts, **params), out)
