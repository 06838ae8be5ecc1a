"""Routers of mixtures of experts (Liu, Blondel, Riquelme and Puigcerver, TMLR 2024).

The paper pre-trains vision transformers. Here are tasks of a laptop's size that separate the
routers for the same reasons: clusters of unequal size, patches of digits, logits without training.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import balance, cost, digits, learning

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims of the paper, and those on balance and cost."""
    run.save(balance.draw_loads(run), "loads")
    yield from balance.bias_claims(run)
    yield from balance.plan_claims(run)
    yield from cost.claims(run)
    yield from digits.claims(run)
    yield from learning.claims(run)


PAPER = Paper(
    name="routers",
    title="Routers in Vision Mixture of Experts: An Empirical Study",
    reference="TMLR 2024, arXiv 2401.15969",
    claims=claims,
    tour=learning.tour,
)
