"""Kinds of rules: how an operation of a namespace is traced, pulled back and pushed forward.

A rule gives, for each array argument, a function `scale(xp, g, *args, out)` (elementwise), or
`transpose(xp, g, *args)` (linear), or both directions. `xp` is the base namespace where everything
is plain and the tape namespace otherwise, so every rule is differentiable itself. Rules call
`xp.multiply(a, b)` and never operators: a strict library refuses to multiply by a traced array.

Cotangents are paired without conjugation, as in JAX: the pullback is the plain transpose, and a
complex cotangent of a real argument loses its imaginary part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fitting import any_traced, deepest, fit, like_tuple, split_level, spread
from .traced import Array, Traced, settle, strip

__all__ = [
    "Bilinear",
    "Binary",
    "Composite",
    "Constant",
    "Creation",
    "Elementwise",
    "General",
    "Linear",
    "Rule",
    "Sequence",
    "Spectral",
    "Unary",
]


class Rule:
    """What the tape knows of one operation."""

    name = ""

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the operation for traced arrays of `space`; `fn` acts on plain ones."""
        raise TypeError(f"rule {self.name!r} of kind {type(self).__name__} cannot be bound")


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
        from .transforms import transpose_of

        _, (slot,), (x,), out, params = node
        space = xp.space

        def forward(t: Array) -> Any:
            return self.push_forward(space, t, out, x, **params)

        cotangents = [g] if self.single else list(g)
        c = transpose_of(space, forward, x, cotangents)
        have = held[slot]
        held[slot] = c if have is None else xp.add(have, c)


class Constant(Rule):
    """Derivative zero everywhere: the plain operation on stripped arrays."""

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function on stripped arguments."""

        def apply(*args: Any, **params: Any) -> Any:
            for x in args:
                if type(x) is not Traced and type(x) not in space.accepted:
                    space.refuse_foreign(x)
            return space.constant_of(
                fn(*[strip(x) for x in args], **{key: strip(x) for key, x in params.items()})
            )

        return apply


class Creation(Rule):
    """Arrays made from shapes and numbers."""

    def bind(self, space: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its value a constant."""

        def apply(*args: Any, **params: Any) -> Any:
            return space.constant_of(fn(*args, **params))

        return apply


class Composite(Rule):
    """A formula of other operations: `formula(xp, *args, **params)`, used on traced arrays."""

    def __init__(self, formula: Callable[..., Any]) -> None:
        self.formula = formula

    def bind(self, space: Any, fn: Callable[..., Any] | None) -> Callable[..., Any]:
        """Return the function: the library's own on plain arrays, the formula on traced ones."""
        formula = self.formula

        def apply(*args: Any, **params: Any) -> Any:
            if fn is not None and not any_traced(args) and not any_traced(params.values()):
                return space.constant_of(fn(*args, **params))
            return formula(space, *args, **params)

        return apply
