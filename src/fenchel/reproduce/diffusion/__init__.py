"""Parameters of samplers, optimised through what they sample (Marion et al., AISTATS 2025).

The two-dimensional experiments are the paper's; its image models are stood in for by a denoiser of
the digits of scikit-learn, which is trained here.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import digits, gaussian, hexagon, learned, memory, queue

__all__ = ["PAPER"]


PAPER = Paper(
    name="diffusion",
    title="Implicit Diffusion: Efficient Optimization through Stochastic Sampling",
    reference="AISTATS 2025, arXiv 2402.05468",
    claims=in_turn(  # the quickest first
        gaussian.claims,
        hexagon.claims,
        learned.claims,
        queue.claims,
        digits.claims,
        memory.claims,
    ),
    tour=digits.tour,
)
