"""Learning with Fitzpatrick losses (Rakotomandimby et al., NeurIPS 2024).

The curves of the losses are checked to the digit; label proportions are estimated on the paper's
data sets where a folder holds them, and on a synthetic stand-in of scikit-learn otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import curves, proportions

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims of the paper: tighter losses, and no worse for it."""
    yield from curves.claims(run)
    yield from proportions.claims(run)


PAPER = Paper(
    name="fitzpatrick",
    title="Learning with Fitzpatrick Losses",
    reference="NeurIPS 2024, arXiv 2405.14574",
    claims=claims,
    tour=proportions.tour,
)
