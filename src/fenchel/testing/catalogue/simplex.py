"""Relaxed argmax operators on the simplex."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import mask, normal, rows, sample

__all__ = ["ENTRIES"]

SCORES = sample(normal(2, 6))


def _of(function: str, variant: str = "", **options: Any) -> Operator:
    name = f"{function}({variant})" if variant else function
    return Operator(name, f"fenchel.operators:{function}", SCORES, options=options)


def _with(function: str, variant: str, value: Any, *, also: Any = None) -> Operator:
    """An entry whose option `variant` is one array a row, differentiated."""
    return Operator(
        f"{function}({variant}=array)",
        f"fenchel.operators:{function}",
        sample(normal(2, 6), value),
        keywords=(variant,),
        differentiable=(0, 1),
        options=also or {},
    )


def _masked(function: str) -> Operator:
    return Operator(
        f"{function}(where=)",
        f"fenchel.operators:{function}",
        sample(normal(2, 6), mask(2, 6, keep=5)),
        keywords=("where",),
    )


ENTRIES = (
    _of("softmax"),
    _of("softmax", "axis=0", axis=0),
    _with("softmax", "temperature", rows(0.7, 1.6)),
    _masked("softmax"),
    _of("sparsemax"),
    _with("sparsemax", "temperature", rows(0.7, 1.6)),
    _masked("sparsemax"),
    _of("entmax", "alpha=1", alpha=1.0),
    _of("entmax", "alpha=1.3", alpha=1.3),
    _of("entmax", "alpha=1.5"),
    _of("entmax", "alpha=2", alpha=2.0),
    _of("entmax", "alpha=3", alpha=3.0),
    _with("entmax", "alpha", rows(1.3, 1.9)),
    _with("entmax", "temperature", rows(0.7, 1.6)),
    _masked("entmax"),
    _of("normmax", "alpha=2"),
    _of("normmax", "alpha=1.5", alpha=1.5),
    _of("normmax", "alpha=3", alpha=3.0),
    _with("normmax", "alpha", rows(1.4, 2.2)),
    _with("normmax", "temperature", rows(0.7, 1.6)),
    _masked("normmax"),
)
