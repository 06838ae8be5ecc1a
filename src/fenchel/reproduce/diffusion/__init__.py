"""Parameters of samplers, optimised through what they sample (Marion et al., AISTATS 2025).

The two-dimensional experiments are the paper's; its image models are stood in for by a denoiser of
the digits of scikit-learn, which is trained here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..paper import Claim, Paper, Run
from . import digits, gaussian, hexagon, learned, memory, queue

__all__ = ["PAPER"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R1 to R7, the quickest experiments first."""
    for part in (gaussian, hexagon, learned, queue, digits, memory):
        yield from part.claims(run)


PAPER = Paper(
    name="diffusion",
    title="Implicit Diffusion: Efficient Optimization through Stochastic Sampling",
    reference="AISTATS 2025, arXiv 2402.05468",
    claims=claims,
    tour=digits.tour,
)
