"""In-context autoregressive learning (Sander et al., ICML 2024).

Exact losses are minimised as they are, so that the theorems can be seen to the last digits; layers
with free parameters are trained on sampled contexts, at the size of a laptop.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import descent, layers, minima, positions, words

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims of the paper, and those on trained layers."""
    yield from descent.claims(run)
    yield from minima.claims(run)
    yield from layers.claims(run)
    yield from positions.claims(run)
    yield from words.claims(run)


PAPER = Paper(
    name="incontext",
    title="How do Transformers Perform In-Context Autoregressive Learning?",
    reference="ICML 2024, arXiv 2402.05787",
    claims=claims,
    tour=descent.tour,
)
