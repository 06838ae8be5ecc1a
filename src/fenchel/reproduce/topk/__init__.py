"""Fast, differentiable and sparse top-k (Sander et al., ICML 2023).

Figure 1 is computed to the digit; the pruning experiment runs on the handwritten digits that come
with scikit-learn in place of MNIST; of the mixture of experts, whose data are not public, the
mechanism is checked; and the solvers are compared in time.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import figure1, pruning, router, runtime

__all__ = ["PAPER"]


PAPER = Paper(
    name="topk",
    title="Fast, Differentiable and Sparse Top-k: a Convex Analysis Perspective",
    reference="ICML 2023, arXiv 2302.01425",
    claims=in_turn(figure1.claims, pruning.claims, router.claims, runtime.claims),
    tour=pruning.tour,
)
