"""Alignment from online feedback (Guo et al., 2024), on a recurrent language model of 32 units.

The annotator is a rule that counts a symbol. What is checked is what the paper claims of feedback
online against offline and of instructions, not its tables: those need people and large models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..paper import Claim, Paper, Run
from . import agreement, brevity, online_offline
from .language import Language

__all__ = ["PAPER", "draw"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims; a quick run leaves the two longer experiments out."""
    language = Language.learnt(run)
    yield from online_offline.claims(run, language)
    if not run.quick:
        yield from brevity.claims(run, language)
        yield from agreement.claims(run, language)


def tour(run: Run) -> Claim:
    """Return how far online feedback leads over offline feedback."""
    found = _short(run)
    run.save(online_offline.draw({"dpo": found}), "online_offline")
    return Claim(
        "online DPO: reward over the best of offline DPO",
        found.online.rewards[-1] / found.offline.peak,
        ">=",
        2.0,
    )


def draw(run: Run) -> Any:
    """Return the figure of the documentation."""
    return online_offline.draw({"dpo": _short(run)})


def _short(run: Run) -> online_offline.Comparison:
    language = Language.learnt(replace(run, quick=True))
    return online_offline.compare(language, "dpo", online=120, offline=200)


PAPER = Paper(
    name="oaif",
    title="Direct Language Model Alignment from Online AI Feedback",
    reference="2024, arXiv 2402.04792",
    claims=claims,
    tour=tour,
)
