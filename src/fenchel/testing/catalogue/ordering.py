"""Soft sorting, ranking, quantiles, and rank correlation."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import distinct, normal, rows, sample

__all__ = ["ENTRIES"]


def _of(function: str, variant: str, **options: Any) -> Operator:
    return Operator(
        f"{function}({variant})",
        f"fenchel.operators:{function}",
        sample(normal(2, 6)),
        options=options,
    )


def _per_row(
    function: str, variant: str, seeds: tuple[int, int] = (0, 1), **options: Any
) -> Operator:
    return Operator(
        f"{function}({variant}, temperature=array)",
        f"fenchel.operators:{function}",
        sample(normal(2, 6), rows(0.6, 1.7)),
        keywords=("temperature",),
        options=options,
        differentiable=(0, 1),
        seeds=seeds,
    )


def _quantile(variant: str, **options: Any) -> Operator:
    return Operator(
        f"soft_quantile({variant})",
        "fenchel.operators:soft_quantile",
        sample(normal(2, 6), lambda _: _places()),
        options=options,
        differentiable=(0, 1),
        notes="piecewise linear in q",
    )


def _places() -> Any:
    import numpy as np

    return np.asarray([0.1, 0.45, 0.87])


def _spearman(variant: str, **options: Any) -> Operator:
    return Operator(
        f"spearman_loss({variant})",
        "fenchel.operators:spearman_loss",
        sample(normal(2, 6), distinct(2, 6)),
        options=options,
        notes="not differentiated in the target",
    )


ENTRIES = (
    _of("soft_sort", "quadratic", temperature=0.5),
    _of("soft_sort", "quadratic, descending", temperature=0.5, descending=True),
    _of("soft_sort", "entropic", temperature=0.5, regularization="entropic"),
    _of("soft_sort", "quadratic, axis=0", axis=0),
    _per_row("soft_sort", "quadratic"),
    _of("soft_rank", "quadratic", temperature=0.7),
    _of("soft_rank", "entropic", temperature=0.7, regularization="entropic"),
    _of("soft_rank", "quadratic, axis=0", axis=0, temperature=0.7),
    _per_row("soft_rank", "quadratic"),
    _per_row("soft_rank", "entropic", (1, 2), regularization="entropic"),
    _quantile("quadratic", temperature=0.5),
    _quantile("entropic", temperature=0.5, regularization="entropic"),
    _spearman("quadratic"),
    _spearman("entropic, reduction=none", regularization="entropic", reduction="none"),
)
