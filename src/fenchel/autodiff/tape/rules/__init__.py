"""Kinds of rules: how an operation of a namespace is traced, pulled back and pushed forward.

A rule gives, for each array argument, a function `scale(xp, g, *args, out)` (elementwise), or
`transpose(xp, g, *args)` (linear), or both directions. `xp` is the base namespace where everything
is plain and the tape namespace otherwise, so every rule is differentiable itself. Rules call
`xp.multiply(a, b)` and never operators: a strict library refuses to multiply by a traced array.

Cotangents are paired without conjugation, as in JAX: the pullback is the plain transpose, and a
complex cotangent of a real argument loses its imaginary part.
"""

from __future__ import annotations

from .base import Rule
from .formulas import Composite, Constant, Creation
from .general import Bilinear, Elementwise, General
from .linear import Linear, Sequence
from .pointwise import Binary, Unary
from .spectral import Spectral

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
