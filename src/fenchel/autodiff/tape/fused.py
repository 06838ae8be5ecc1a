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

__all__ = ["fused_node"]


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
