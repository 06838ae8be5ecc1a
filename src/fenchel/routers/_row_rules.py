"""Dispatch and combine in one pass over the memory, with pullbacks to match.

They serve plain values and eager reverse mode, where an adapter has the passes; elsewhere, and for
derivatives beyond the first, the formulas of `dispatch` do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import Array, Backend
from ..kernels import eager_rule

__all__ = ["CombineRule", "DispatchRule", "in_one_pass"]


class DispatchRule(NamedTuple):
    """Rows of tokens x (..., n, d)."""

    rows: Any
    token: Array
    places: Array
    ones: Array

    def forward(self, x: Array) -> tuple[Array, None]:
        """Gather."""
        return self.rows.gather(x, self.token, self.ones), None

    def pullback(self, g: Array, inputs: tuple[Array, ...], saved: None) -> tuple[Array]:
        """Sum the cotangents of a token's rows."""
        return (self.rows.sums(g, self.places, self.ones),)


class CombineRule(NamedTuple):
    """Sums of rows y (..., R, d) times weights (..., R)."""

    rows: Any
    token: Array
    places: Array

    def forward(self, y: Array, weight: Array) -> tuple[Array, None]:
        """Sum."""
        return self.rows.sums(y, self.places, weight), None

    def pullback(self, g: Array, inputs: tuple[Array, ...], saved: None) -> tuple[Array, Array]:
        """Gather weighted cotangents; multiply rows with the cotangents of their tokens."""
        y, weight = inputs
        return self.rows.gather(g, self.token, weight), self.rows.dots(y, g, self.token)


def in_one_pass(
    backend: Backend,
    make: Callable[[Any], Any],
    formula: Callable[..., Array],
    *inputs: Array,
) -> Array | None:
    """Return the value of the rule `make(rows)`, None where the formula has to serve."""
    serve = getattr(getattr(backend, "base", None) or backend, "token_rows", None)
    rows = None if serve is None else serve(inputs[0])
    if rows is None:
        return None
    if not backend.native_autodiff and getattr(backend, "base", None) is None:
        value: Array = make(rows).forward(*inputs)[0]
        return value
    return eager_rule(backend, make(rows), formula, *inputs)
