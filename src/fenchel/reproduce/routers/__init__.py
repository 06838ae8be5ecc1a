"""Routers of mixtures of experts (Liu, Blondel, Riquelme and Puigcerver, TMLR 2024).

The paper pre-trains vision transformers. Here are tasks of a laptop's size that separate the
routers for the same reasons: clusters of unequal size, patches of digits, logits without training.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import balance, cost, digits, learning

__all__ = ["PAPER"]


PAPER = Paper(
    name="routers",
    title="Routers in Vision Mixture of Experts: An Empirical Study",
    reference="TMLR 2024, arXiv 2401.15969",
    claims=in_turn(balance.claims, cost.claims, digits.claims, learning.claims),
    tour=learning.tour,
)
