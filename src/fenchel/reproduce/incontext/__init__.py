"""In-context autoregressive learning (Sander et al., ICML 2024).

Exact losses are minimised as they are, so that the theorems can be seen to the last digits; layers
with free parameters are trained on sampled contexts, at the size of a laptop.
"""

from __future__ import annotations

from ..paper import Paper, in_turn
from . import descent, layers, minima, positions, words

__all__ = ["PAPER"]


PAPER = Paper(
    name="incontext",
    title="How do Transformers Perform In-Context Autoregressive Learning?",
    reference="ICML 2024, arXiv 2402.05787",
    claims=in_turn(descent.claims, minima.claims, layers.claims, positions.claims, words.claims),
    tour=descent.tour,
)
