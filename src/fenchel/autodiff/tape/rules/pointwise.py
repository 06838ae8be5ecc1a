"""Elementwise functions of one and of two arrays: the operations a tape sees most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fitting import fit, spread
from ..traced import Array, Traced, settle
from .base import Rule

__all__ = ["Binary", "Unary"]


class Unary(Rule):
    """An elementwise function of one array: multiply by the derivative, in both directions."""

    def __init__(self, scale: Callable[..., Array]) -> None:
        self.scale = scale

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""

        def apply(x: Array, /) -> Array:
            if type(x) is not Traced:
                return fn(x)
            value = x._value
            out = apply(value) if type(value) is Traced else fn(value)
            return x._level.record(self, (x._slot,), (value,), out, None)

        return apply

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangent of the argument."""
        slot = node[1][0]
        c = self.scale(xp, g, node[2][0], node[3])
        have = held[slot]
        held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Return the tangent of the value."""
        return self.scale(xp, tangents[0], args[0], out)


class Binary(Rule):
    """An elementwise function of two arrays, with broadcasting; one factor each."""

    def __init__(self, scale_x: Callable[..., Array], scale_y: Callable[..., Array]) -> None:
        self.scale_x = scale_x
        self.scale_y = scale_y

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""
        accepted = space.accepted

        def apply(x: Array, y: Array, /) -> Array:
            if type(x) is Traced:
                level = x._level
                if type(y) is not Traced:
                    if type(y) not in accepted:
                        y = space.accept(y)
                    slots, args = (x._slot, None), (x._value, y)
                elif y._level is level:
                    slots, args = (x._slot, y._slot), (x._value, y._value)
                elif y._level.depth < level.depth:
                    space.check_same(y)
                    slots, args = (x._slot, None), (x._value, settle(y))
                else:
                    space.check_same(y)
                    level = y._level
                    slots, args = (None, y._slot), (settle(x), y._value)
            elif type(y) is Traced:
                if type(x) not in accepted:
                    x = space.accept(x)
                level = y._level
                slots, args = (None, y._slot), (x, y._value)
            else:
                return fn(x, y)
            x, y = args
            if type(x) is Traced or type(y) is Traced:
                out = apply(x, y)
            else:
                out = fn(x, y)
            return level.record(self, slots, args, out, None)

        return apply

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangents of the traced arguments."""
        _, (slot_x, slot_y), (x, y), out, _ = node
        if slot_x is not None:
            c = self.scale_x(xp, g, x, y, out)
            if c.shape != x.shape or c.dtype is not x.dtype:
                c = fit(xp, c, x)
            have = held[slot_x]
            held[slot_x] = c if have is None else xp.add(have, c)
        if slot_y is not None:
            c = self.scale_y(xp, g, x, y, out)
            if c.shape != y.shape or c.dtype is not y.dtype:
                c = fit(xp, c, y)
            have = held[slot_y]
            held[slot_y] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Return the tangent of the value."""
        t_x, t_y = tangents
        x, y = args
        if t_x is None:
            return spread(xp, self.scale_y(xp, t_y, x, y, out), out)
        t = self.scale_x(xp, t_x, x, y, out)
        if t_y is not None:
            t = xp.add(t, self.scale_y(xp, t_y, x, y, out))
        return spread(xp, t, out)
