"""Differentiation levels: what happens to an operation once its value is known.

A reverse level appends a node (rule, slots, arguments, value, parameters) to its tape. A forward
level pushes the tangents through the rule at once. The same nodes serve `linearize`, which pushes
tangents through a recorded tape as often as asked.

Depths come from one growing counter: a level made later is further inside. Within an operation the
deepest level of its arguments acts, and everything of lower depth is a constant to it; the value
and the derivative are computed with arrays of lower levels only, which record in their turn.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from .traced import Array, Traced

__all__ = ["ConstantLevel", "ForwardLevel", "ReverseLevel"]

_DEPTHS = count(1)


class ConstantLevel:
    """Where the constants of a trace live, under every other level: nothing is recorded.

    Over NumPy a constant is a plain array, whose operators defer to those of a traced one. Other
    libraries may raise instead (the strict one does), so that over them what is made from traced
    arrays without a derivative (`ones_like(x)`, `x > 0`, `stop_gradient(x)`) is traced here.
    """

    __slots__ = ("space",)
    depth = 0
    plain = True

    def __init__(self, space: Any) -> None:
        self.space = space

    def record(self, rule: Any, slots: Any, args: Any, out: Array, params: Any) -> Traced:
        """Return a value as a constant."""
        return Traced(out, self, None)

    def record_many(
        self, rule: Any, slots: Any, args: Any, outs: Any, params: Any
    ) -> tuple[Traced, ...]:
        """Return several values as constants."""
        return tuple([Traced(out, self, None) for out in outs])


class ReverseLevel:
    """A tape: nodes in the order of their making."""

    __slots__ = ("depth", "nodes", "plain", "space")

    def __init__(self, space: Any) -> None:
        self.space = space
        self.depth = next(_DEPTHS)
        self.nodes: list[Any] = []
        self.plain = True  # no value on the tape is itself traced: rules may call the base library

    def leaf(self, value: Array) -> Traced:
        """Return a traced array for an input of the differentiated function."""
        self.nodes.append(None)
        if type(value) is Traced:
            self.plain = False
        return Traced(value, self, len(self.nodes) - 1)

    def record(self, rule: Any, slots: Any, args: Any, out: Array, params: Any) -> Traced:
        """Append a node and return its value as a traced array."""
        nodes = self.nodes
        slot = len(nodes)
        nodes.append((rule, slots, args, out, params))
        if type(out) is Traced:
            self.plain = False
        return Traced(out, self, slot)

    def record_many(
        self, rule: Any, slots: Any, args: Any, outs: Any, params: Any
    ) -> tuple[Traced, ...]:
        """Append a node with several values, and one node a value that picks it."""
        nodes = self.nodes
        source = len(nodes)
        nodes.append((rule, slots, args, outs, params))
        if any(type(out) is Traced for out in outs):
            self.plain = False
        results = []
        for i, out in enumerate(outs):
            nodes.append((PICK, (source,), (i, len(outs)), out, None))
            results.append(Traced(out, self, len(nodes) - 1))
        return tuple(results)

    def pull(
        self, cotangents: list[tuple[int, Array]], first: int, once: bool = False
    ) -> list[Array | None]:
        """Propagate cotangents from slots back to the first `first` slots.

        With `once` the tape is used up: nodes are dropped as they are passed, so that their memory
        serves the cotangents.
        """
        nodes = self.nodes
        plain = self.plain and not any(type(g) is Traced for _, g in cotangents)
        xp = self.space.plain if plain else self.space
        held: list[Array | None] = [None] * len(nodes)
        for slot, g in cotangents:
            have = held[slot]
            held[slot] = g if have is None else xp.add(have, g)
        start = max((slot for slot, _ in cotangents), default=-1)
        for i in range(start, first - 1, -1):
            g = held[i]
            if g is not None:
                node = nodes[i]
                held[i] = None
                node[0].pull(xp, g, node, held)
            if once:
                nodes[i] = node = None
        return held[:first]

    def push(self, tangents: list[Array | None]) -> list[Array | None]:
        """Propagate tangents of the first slots through the whole tape."""
        nodes = self.nodes
        plain = self.plain and not any(type(t) is Traced for t in tangents)
        xp = self.space.plain if plain else self.space
        held: list[Any] = [*tangents, *[None] * (len(nodes) - len(tangents))]
        for i in range(len(tangents), len(nodes)):
            rule, slots, args, out, params = nodes[i]
            inputs = tuple([None if s is None else held[s] for s in slots])
            if any(t is not None for t in inputs):
                held[i] = rule.push(xp, inputs, args, out, params)
        return held


class ForwardLevel:
    """A level whose arrays carry their tangents."""

    __slots__ = ("depth", "plain", "space")

    def __init__(self, space: Any) -> None:
        self.space = space
        self.depth = next(_DEPTHS)
        self.plain = True

    def leaf(self, value: Array, tangent: Array) -> Traced:
        """Return a traced array with a tangent."""
        if type(value) is Traced or type(tangent) is Traced:
            self.plain = False
        return Traced(value, self, tangent)

    def record(self, rule: Any, slots: Any, args: Any, out: Array, params: Any) -> Traced:
        """Push the tangents through the rule at once."""
        if type(out) is Traced:
            self.plain = False
        xp = self.space.plain if self.plain else self.space
        return Traced(out, self, rule.push(xp, slots, args, out, params))

    def record_many(
        self, rule: Any, slots: Any, args: Any, outs: Any, params: Any
    ) -> tuple[Traced, ...]:
        """Push the tangents through a rule with several values."""
        if any(type(out) is Traced for out in outs):
            self.plain = False
        xp = self.space.plain if self.plain else self.space
        tangents = rule.push(xp, slots, args, outs, params)
        return tuple([Traced(out, self, t) for out, t in zip(outs, tangents, strict=True)])


class _Pick:
    """One of the values of a node that has several."""

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        source, (i, n) = node[1][0], node[2]
        if held[source] is None:
            held[source] = [None] * n
        held[source][i] = g

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        return tangents[0][args[0]]


PICK = _Pick()
