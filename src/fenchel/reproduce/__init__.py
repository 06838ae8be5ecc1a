"""The claims of each paper, sized for a laptop: numbers, a verdict, a figure.

A paper is one module or package of this folder that holds a `Paper` named `PAPER`; the table in
`registry` names it. `fenchel reproduce` and `fenchel tour` run what is registered, on the array
library that was asked for.
"""

from __future__ import annotations

from .library import Library
from .paper import Claim, Paper, Run
from .registry import paper, paper_names, register
from .runner import reproduce, tour

__all__ = [
    "Claim",
    "Library",
    "Paper",
    "Run",
    "paper",
    "paper_names",
    "register",
    "reproduce",
    "tour",
]
