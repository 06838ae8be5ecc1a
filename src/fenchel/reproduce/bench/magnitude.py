"""Sparse soft top-k in magnitude: the three solvers, and the hard operator."""

from __future__ import annotations

from collections.abc import Iterator

from fenchel.operators import topk

from .case import Case, Contender, fresh_rows

__all__ = ["TITLE", "cases"]

TITLE = "Sparse soft top-k in magnitude, k = n/20, temperature 0.5, float32"
SHAPES = ((1, 100), (32, 100), (1, 1000), (32, 1000), (1, 10_000))


def cases(quick: bool) -> Iterator[Case]:
    """Yield the default solver against pooling adjacent violators and np.partition."""
    for batch, n in SHAPES[:3] if quick else SHAPES:
        for p in (2.0, 4 / 3):
            yield _case(batch, n, p)


def _case(batch: int, n: int, p: float) -> Case:
    import numpy as np

    rows, k = fresh_rows(batch, n), n // 20

    def solved_by(solver: str) -> Contender:
        name = "fenchel" if solver == "auto" else f"fenchel, {solver}"
        return Contender(name, lambda x: topk(x, k, temperature=0.5, p=p, solver=solver), rows)

    hard = Contender("np.partition (hard)", lambda x: np.partition(abs(x), n - k, axis=-1), rows)
    return Case(f"{batch} x {n}, p = {p:.3g}", solved_by("auto"), (solved_by("pav"), hard))
