"""Decoding-time realignment (Liu et al., 2024), on a recurrent language model of 32 units.

What is checked is the paper's claim that mixing logits when decoding stands for training with
another regularization; its own models and data are out of reach of a laptop.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import enumerated, realignment
from .language import Language

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the identities, then the comparison with training."""
    yield from enumerated.claims(run)
    yield from realignment.claims(run, Language.learnt(run))


def tour(run: Run) -> Claim:
    """Return how close one aligned model, realigned, comes to two that were trained anew."""
    found = realignment.compare(run, Language.learnt(run), *realignment.QUICK)
    run.save(realignment.draw(found), "realignment")
    return next(realignment.verdicts(found))


PAPER = Paper(
    name="dera",
    title="Decoding-time Realignment of Language Models",
    reference="ICML 2024, arXiv 2402.02992",
    claims=claims,
    tour=tour,
)
