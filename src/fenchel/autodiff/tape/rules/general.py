"""Functions of several arrays, with parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fitting import deepest, fit, split_level, spread
from ..traced import Array, Traced
from .base import Rule

__all__ = ["Bilinear", "Elementwise", "General"]


class General(Rule):
    """Array arguments first, parameters after; one pull and one push for each array argument.

    `pulls[i](xp, g, out, *args, **params)` is the cotangent of argument i, and
    `pushes[i](xp, t, out, *args, **params)` the tangent of the value due to argument i.
    """

    def __init__(
        self, pulls: tuple[Callable[..., Array], ...], pushes: tuple[Callable[..., Array], ...]
    ) -> None:
        self.pulls = pulls
        self.pushes = pushes

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""

        def apply(*args: Any, **params: Any) -> Array:
            level = deepest(args)
            if level is None:
                return fn(*args, **params)
            slots, values = split_level(args, level)
            for x in values[: len(self.pulls)]:
                if type(x) is not Traced and type(x) not in space.accepted:
                    space.accept(x)
            return level.record(self, slots, values, apply(*values, **params), params)

        return apply

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangents of the traced arguments."""
        _, slots, args, out, params = node
        for i, slot in enumerate(slots):
            if slot is not None:
                c = self.pulls[i](xp, g, out, *args, **params)
                have = held[slot]
                held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Return the tangent of the value."""
        total = None
        for i, t in enumerate(tangents):
            if t is not None:
                part = self.pushes[i](xp, t, out, *args, **params)
                total = part if total is None else xp.add(total, part)
        return total


class Elementwise(General):
    """An elementwise function of several arrays: factors `scale(xp, g, out, *args, **params)`."""

    def __init__(self, *scales: Callable[..., Array]) -> None:
        def fitted(i: int) -> Callable[..., Array]:
            def pull(xp: Any, g: Array, out: Array, *args: Any, **params: Any) -> Array:
                return fit(xp, scales[i](xp, g, out, *args, **params), args[i])

            return pull

        def spreading(i: int) -> Callable[..., Array]:
            def push(xp: Any, t: Array, out: Array, *args: Any, **params: Any) -> Array:
                return spread(xp, scales[i](xp, t, out, *args, **params), out)

            return push

        indices = range(len(scales))
        super().__init__(tuple(map(fitted, indices)), tuple(map(spreading, indices)))


class Bilinear(General):
    """Linear in each of two array arguments: pulls are given, a push is the operation itself."""

    def __init__(self, name: str, *pulls: Callable[..., Array]) -> None:
        def pushing(i: int) -> Callable[..., Array]:
            def push(xp: Any, t: Array, out: Array, *args: Any, **params: Any) -> Array:
                return getattr(xp, name)(*args[:i], t, *args[i + 1 :], **params)

            return push

        super().__init__(pulls, tuple(map(pushing, range(len(pulls)))))

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the traced function."""
        accepted = space.accepted

        def apply(x: Array, y: Array, /, **params: Any) -> Array:
            if type(x) is not Traced and type(y) is not Traced:
                return fn(x, y, **params)
            level = deepest((x, y))
            slots, args = split_level((x, y), level)
            x, y = args
            if type(x) is Traced or type(y) is Traced:
                return level.record(self, slots, args, apply(x, y, **params), params)
            if type(x) not in accepted or type(y) not in accepted:
                space.accept(x)
                space.accept(y)
            return level.record(self, slots, args, fn(x, y, **params), params)

        return apply
