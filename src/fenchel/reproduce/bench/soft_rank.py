"""Soft ranks: against torchsort where it is installed, and against the sort alone."""

from __future__ import annotations

from collections.abc import Iterator

from fenchel.operators import soft_rank
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Soft rank, quadratic, temperature 1, float32"
SHAPES = ((1, 100), (32, 100), (1, 1000), (32, 1000), (1, 10_000))


def cases(quick: bool) -> Iterator[Case]:
    """Yield forward cases on NumPy rows."""
    import numpy as np

    torchsort = installed("torchsort")
    for batch, n in SHAPES[:3] if quick else SHAPES:
        rows = fresh_rows(batch, n)
        peers = [Contender("np.argsort (hard)", lambda x: np.argsort(x, axis=-1), rows)]
        if torchsort is not None:
            tensors = carried(Library.named("torch"), rows)
            peers.append(Contender("torchsort", torchsort.soft_rank, tensors))
        yield Case(f"{batch} x {n}", Contender("fenchel", soft_rank, rows), tuple(peers))
