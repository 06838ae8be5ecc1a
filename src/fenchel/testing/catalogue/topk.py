"""Relaxed top-k operators."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import Draw, distinct, mask, rows, sample, share

__all__ = ["ENTRIES"]

SCORES = distinct(2, 6)


def _of(function: str, variant: str, seeds: tuple[int, int] = (0, 1), **options: Any) -> Operator:
    return Operator(
        f"{function}({variant})",
        f"fenchel.operators:{function}",
        sample(SCORES),
        options={"k": 2, "temperature": 0.8} | options,
        seeds=seeds,
    )


def _per_row(function: str, variant: str, **options: Any) -> Operator:
    """An entry with a real budget and a temperature for each row, both differentiated."""
    return Operator(
        f"{function}(k=array, temperature=array{variant})",
        f"fenchel.operators:{function}",
        sample(SCORES, rows(1.6, 2.3), rows(0.7, 1.1)),
        keywords=("k", "temperature"),
        options=options,
        differentiable=(0, 1, 2),
    )


def _masked(function: str) -> Operator:
    return Operator(
        f"{function}(where=)",
        f"fenchel.operators:{function}",
        sample(SCORES, mask(2, 6, keep=5)),
        keywords=("where",),
        options={"k": 2},
    )


def _loss(variant: str, target: Draw, **options: Any) -> Operator:
    return Operator(
        f"topk_loss({variant})",
        "fenchel.operators:topk_loss",
        sample(SCORES, target),
        options={"k": 2, "temperature": 0.8} | options,
        differentiable=(0, 1),
        notes="target strictly inside [0, 1]",
    )


ENTRIES = (
    _of("topk_mask", "p=2"),
    _of("topk_mask", "p=4/3", p=4 / 3),
    _of("topk_mask", "p=1.5", p=1.5),
    _of("topk_mask", "p=1.25", p=1.25),
    _of("topk_mask", "axis=0", k=1, axis=0),
    _of("topk_mask", "solver=pav", solver="pav"),
    _of("topk_mask", "solver=dykstra", solver="dykstra"),
    _per_row("topk_mask", ""),
    _per_row("topk_mask", ", p=4/3", p=4 / 3),
    _masked("topk_mask"),
    _of("topk", "magnitude"),
    _of("topk", "magnitude, raw", debias=False),
    _of("topk", "magnitude, p=4/3", p=4 / 3),
    _of("topk", "magnitude, p=4/3, raw", p=4 / 3, debias=False),
    _of("topk", "magnitude, p=1.5", p=1.5),
    _of("topk", "magnitude, solver=pav", solver="pav"),
    _of("topk", "positive", (1, 2), kind="positive"),
    _of("topk", "gated", kind="gated"),
    _per_row("topk", ""),
    _per_row("topk", ", p=4/3", p=4 / 3),
    _per_row("topk", ", raw", debias=False),
    _masked("topk"),
    _loss("p=2", share(2, 6, total=2.0)),
    _loss("p=4/3", share(2, 6, total=2.0), p=4 / 3),
    _loss("reduction=none", share(2, 6, total=2.0), reduction="none"),
    Operator(
        "topk_temperature",
        "fenchel.operators:topk_temperature",
        sample(SCORES),
        options={"k": 2, "active": 4},
    ),
    Operator(
        "topk_temperature(k=array, p=4/3)",
        "fenchel.operators:topk_temperature",
        sample(SCORES, rows(1.6, 2.3)),
        keywords=("k",),
        options={"active": 4, "p": 4 / 3},
        differentiable=(0, 1),
    ),
)
