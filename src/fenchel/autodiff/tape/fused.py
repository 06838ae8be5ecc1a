"""Fused rules on the tape: one node for a whole operator.

A fused rule gives the value and the reverse derivative in one pass of a kernel each, for plain
values. Whatever it cannot serve (tangents, a traced cotangent) is taken from the formula at the
saved value, so derivatives of any order stay those of the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fitting import any_traced
from .rules import Rule
from .traced import Array, Traced

__all__ = ["eager_node", "fused_node"]


class _FusedNode(Rule):
    """The node: the rule's pullback for a plain cotangent, the formula otherwise."""

    def __init__(self, rule: Any, formula: Callable[[Array], Array]) -> None:
        self.rule = rule
        self.formula = formula

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangent of the input."""
        from .transforms import vjp

        _, (slot,), (x,), out, (params, constants, saved) = node
        if type(g) is Traced:
            (c,) = vjp(self.formula, x)[1](g)
        else:
            c = self.rule.pullback(g, x, params, constants, (out, *saved))
        have = held[slot]
        held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Return the tangent of the value, by the formula."""
        from .transforms import jvp

        return jvp(self.formula, args, tangents)[1]


def fused_node(rule: Any) -> Callable[..., Array]:
    """Return `apply(formula, x, params, *constants)` that records one node for the operator."""

    def apply(formula: Callable[[Array], Array], x: Array, params: Any, *constants: Any) -> Array:
        if any_traced(params) or any_traced(constants):
            return formula(x)
        value = x._value
        y, *saved = rule.forward(value, params, *constants)
        node = _FusedNode(rule, formula)
        return x._level.record(node, (x._slot,), (value,), y, (params, constants, saved))

    return apply


class _EagerNode(Rule):
    """The node of a rule of several inputs, some of which are traced."""

    def __init__(self, rule: Any, formula: Callable[..., Array], inputs: list[Array]) -> None:
        self.rule = rule
        self.formula = formula
        self.inputs = inputs

    def pull(self, xp: Any, g: Array, node: Any, held: list[Any]) -> None:
        """Add the cotangents of the traced inputs."""
        from .transforms import vjp

        _, slots, values, _, (places, saved) = node
        if type(g) is Traced:
            pulled = vjp(self._live(places), *values)[1](g)
        else:
            every = self.rule.pullback(g, tuple(self.inputs), saved)
            pulled = tuple(every[i] for i in places)
        for slot, c in zip(slots, pulled, strict=True):
            have = held[slot]
            held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Array, params: Any) -> Array:
        """Return the tangent of the value, by the formula."""
        from .transforms import jvp

        return jvp(self._live(params[0]), args, tangents)[1]

    def _live(self, places: tuple[int, ...]) -> Callable[..., Array]:
        """Return the formula as a function of the traced inputs."""

        def formula(*values: Array) -> Array:
            inputs = list(self.inputs)
            for i, value in zip(places, values, strict=True):
                inputs[i] = value
            return self.formula(*inputs)

        return formula


def eager_node(rule: Any, formula: Callable[..., Array], inputs: tuple[Array, ...]) -> Array | None:
    """Return the value of a rule, recorded as one node; None unless one reverse level is active."""
    traced = [(i, x) for i, x in enumerate(inputs) if type(x) is Traced and x._slot is not None]
    if not traced:
        return None
    level = traced[0][1]._level
    plain = [x._value if type(x) is Traced else x for x in inputs]
    if not hasattr(level, "nodes") or any(type(x) is Traced for x in plain):
        return None
    if any(type(x) is Traced and x._level is not level for x in inputs):
        return None
    places = tuple(i for i, _ in traced)
    y, saved = rule.forward(*plain)
    node = _EagerNode(rule, formula, plain)
    slots, values = tuple(x._slot for _, x in traced), tuple(plain[i] for i in places)
    return level.record(node, slots, values, y, (places, saved))
