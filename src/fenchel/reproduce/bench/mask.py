"""The soft top-k mask: k = n / 20, temperature 0.5, normal rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fenchel.operators import topk_mask
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows, installed

__all__ = ["TITLE", "cases"]

TITLE = "Sparse soft top-k mask, k = n/20, temperature 0.5, float32"
SHAPES = ((1, 100), (32, 100), (1, 1000), (32, 1000), (256, 1000), (1, 10_000), (32, 10_000))
TEMPERATURE = 0.5


def cases(quick: bool) -> Iterator[Case]:
    """Yield cases for p = 2 and p = 4/3, against the box projection of jaxopt and np.partition."""
    for batch, n in SHAPES[:4] if quick else SHAPES:
        for p in (2.0, 4 / 3):
            yield _case(batch, n, p)


def _case(batch: int, n: int, p: float) -> Case:
    import numpy as np

    rows, k = fresh_rows(batch, n), n // 20
    ours = Contender("fenchel", lambda x: topk_mask(x, k, temperature=TEMPERATURE, p=p), rows)
    hard = Contender("np.partition (hard)", lambda x: np.partition(x, n - k, axis=-1), rows)
    peers = [hard]
    if p == 2.0 and (jaxopt := installed("jaxopt.projection")) is not None:
        peers.append(_box_section(jaxopt, rows, n, k))
    return Case(f"{batch} x {n}, p = {p:.3g}", ours, tuple(peers))


def _box_section(jaxopt: Any, rows: list[Any], n: int, k: int) -> Contender:
    """The same projection by jaxopt: {0 <= y <= 1, sum y = k}, compiled and batched."""
    jax = Library.named("jax")
    ones = jax.array([1.0] * n)
    project = partial(jaxopt.projection_box_section, hyperparams=(0.0, 1.0, ones, float(k)))
    compiled = jax.backend.jit(jax.backend.vmap(lambda x: project(x / TEMPERATURE)))
    return Contender("jaxopt", lambda x: compiled(x).block_until_ready(), carried(jax, rows))
