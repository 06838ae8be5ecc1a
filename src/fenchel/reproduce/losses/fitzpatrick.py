"""Learning with Fitzpatrick losses (Rakotomandimby et al., NeurIPS 2024).

The curves of the losses are checked to the digit; label proportions are estimated on the paper's
data sets where a folder holds them, and on a synthetic stand-in of scikit-learn otherwise.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import curves, proportions

__all__ = ["PAPER"]


PAPER = Paper(
    name="fitzpatrick",
    title="Learning with Fitzpatrick Losses",
    reference="NeurIPS 2024, arXiv 2405.14574",
    claims=in_turn(curves.claims, proportions.claims),
    tour=proportions.tour,
)
