"""Learning rates at the edge of stability (Roulet et al., NeurIPS 2024).

The networks are small and the images those of scikit-learn: what is checked is how loss, learning
rate and sharpness go together, not the paper's figures. The recurrences of learning rate and
sharpness are run as they are.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import bases, edge, minibatch, recurrences, safeguard

__all__ = ["PAPER"]


PAPER = Paper(
    name="cdat",
    title="Stepping on the Edge: Curvature Aware Learning Rate Tuners",
    reference="NeurIPS 2024, arXiv 2407.06183",
    claims=in_turn(
        recurrences.claims,
        safeguard.claims,
        edge.claims,
        bases.claims,
        minibatch.claims,
    ),
    tour=edge.tour,
)
