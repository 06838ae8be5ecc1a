"""Projections on convex sets."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import Draw, distinct, normal, rows, sample, uniform

__all__ = ["ENTRIES"]


def _of(
    function: str,
    variant: str,
    *more: Draw,
    keywords: tuple[str, ...] = (),
    seeds: tuple[int, int] = (0, 1),
    **options: Any,
) -> Operator:
    draws = (normal(2, 6), *more)
    return Operator(
        f"{function}({variant})" if variant else function,
        f"fenchel.convex:{function}",
        sample(*draws),
        keywords=keywords,
        options=options,
        seeds=seeds,
        differentiable=tuple(range(len(draws))),
    )


ENTRIES = (
    _of("project_simplex", ""),
    _of("project_simplex", "radius=array", rows(0.6, 2.0), keywords=("radius",)),
    _of("project_capped_simplex", "k=array", rows(1.6, 2.3)),
    _of("project_order_simplex", ""),
    _of("project_permutahedron", "", distinct(6)),
    _of("project_permutahedron", "axis=0", distinct(2), axis=0),
    _of("project_box", "", uniform(-0.6, -0.3, 2, 6), uniform(0.3, 0.6, 2, 6), seeds=(0, 2)),
    _of("project_cube", ""),
)
