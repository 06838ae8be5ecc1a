"""Fast, differentiable and sparse top-k (Sander et al., ICML 2023).

Figure 1 is computed to the digit; the pruning experiment runs on the handwritten digits that come
with scikit-learn in place of MNIST; of the mixture of experts, whose data are not public, the
mechanism is checked; and the solvers are compared in time.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import figure1, pruning, router, runtime

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims of the paper in the order of its sections."""
    yield from figure1.claims(run)
    yield from pruning.claims(run)
    yield from router.claims(run)
    yield from runtime.claims(run)


PAPER = Paper(
    name="topk",
    title="Fast, Differentiable and Sparse Top-k: a Convex Analysis Perspective",
    reference="ICML 2023, arXiv 2302.01425",
    claims=claims,
    tour=pruning.tour,
)
