"""Plans between marginals: entropic, and Euclidean projections."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..operator import Operator
from ..samples import Draw, normal, sample, share

__all__ = ["ENTRIES"]

SCORES = normal(2, 4, 3)
# Sweeps enough for differences of values to see the derivative of the limit.
CONVERGED = {"temperature": 0.8, "max_iter": 200, "tol": 1e-14}
# A step of differences in one marginal unbalances the totals; sinkhorn allows for one percent.
ROWS, COLUMNS = share(2, 4, total=3.0), share(2, 3, total=3.0)


def _of(
    variant: str,
    *more: Draw,
    keywords: tuple[str, ...] = (),
    scores: Draw = SCORES,
    options: Mapping[str, Any] = MappingProxyType(CONVERGED),
    **changes: Any,
) -> Operator:
    return Operator(
        f"sinkhorn({variant})" if variant else "sinkhorn",
        "fenchel.convex:sinkhorn",
        sample(scores, *more),
        keywords=keywords,
        options={**options, **changes},
        differentiable=tuple(range(1 + len(more))),
    )


def _temperatures(_: Any) -> Any:
    import numpy as np

    return np.asarray([0.7, 1.2])[:, None, None]


def _projection(
    function: str,
    *draws: Draw,
    variant: str = "",
    seeds: tuple[int, int] = (0, 1),
    **options: Any,
) -> Operator:
    return Operator(
        f"{function}({variant})" if variant else function,
        f"fenchel.convex:{function}",
        sample(*draws),
        options=options,
        differentiable=tuple(range(len(draws))),
        seeds=seeds,
    )


ENTRIES = (
    _of(""),
    _of("wide", scores=normal(2, 3, 5)),
    _of("a=array, b=array", ROWS, COLUMNS, keywords=("a", "b")),
    _of(
        "temperature=array",
        _temperatures,
        keywords=("temperature",),
        options={"max_iter": 200, "tol": 1e-14},
    ),
    _of("gradient=unrolled", gradient="unrolled", max_iter=5, tol=None),
    _projection("project_transport", SCORES, ROWS, COLUMNS),
    _projection("project_transport", normal(2, 3, 4), COLUMNS, ROWS, variant="wide", seeds=(1, 2)),
    _projection("project_birkhoff", normal(2, 4, 4)),
    _projection("project_kl_transport", SCORES, ROWS, COLUMNS, temperature=2.0),
    _projection("project_kl_birkhoff", normal(2, 3, 3), temperature=2.0),
)
