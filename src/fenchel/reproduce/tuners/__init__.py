"""Learning rates at the edge of stability (Roulet et al., NeurIPS 2024).

The networks are small and the images those of scikit-learn: what is checked is how loss, learning
rate and sharpness go together, not the paper's figures. The recurrences of learning rate and
sharpness are run as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import bases, edge, minibatch, recurrences, safeguard

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims of the paper, and those on the guard."""
    yield from recurrences.claims(run)
    yield from safeguard.claims(run)
    yield from edge.claims(run)
    yield from bases.claims(run)
    yield from minibatch.claims(run)


PAPER = Paper(
    name="cdat",
    title="Stepping on the Edge: Curvature Aware Learning Rate Tuners",
    reference="NeurIPS 2024, arXiv 2407.06183",
    claims=claims,
    tour=edge.tour,
)
