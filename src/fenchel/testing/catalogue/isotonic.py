"""Isotonic regression."""

from __future__ import annotations

from typing import Any

from ..operator import Operator
from ..samples import Draw, normal, rows, sample, uniform

__all__ = ["ENTRIES"]


def _of(variant: str, *more: Draw, keywords: tuple[str, ...] = (), **options: Any) -> Operator:
    draws = (normal(2, 6), *more)
    return Operator(
        f"isotonic_regression({variant})",
        "fenchel.convex:isotonic_regression",
        sample(*draws),
        keywords=keywords,
        options=options,
        differentiable=tuple(range(len(draws))),
    )


WEIGHTS = uniform(0.5, 2.0, 2, 6)

ENTRIES = (
    _of("squared"),
    _of("squared, decreasing", increasing=False),
    _of("squared, axis=0", axis=0),
    _of("squared, weights", WEIGHTS, keywords=("weights",)),
    _of("squared, bounds", rows(-0.31, -0.42), rows(0.23, 0.35), keywords=("lower", "upper")),
    _of("squared, solver=dykstra", solver="dykstra"),
    _of("kl", loss="kl"),
    _of("kl, weights", normal(2, 6), keywords=("weights",), loss="kl"),
    _of("pnorm, p=3", loss="pnorm", p=3.0),
    _of("pnorm, p=4", loss="pnorm", p=4.0),
    _of("pnorm, p=3, weights", WEIGHTS, keywords=("weights",), loss="pnorm", p=3.0),
    _of("pnorm, p=1.5", loss="pnorm", p=1.5),
)
