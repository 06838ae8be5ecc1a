"""Operations without a derivative of their own: constants, and formulas of other operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fitting import any_traced
from ..traced import Traced, strip
from .base import Rule

__all__ = ["Composite", "Constant", "Creation"]


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
