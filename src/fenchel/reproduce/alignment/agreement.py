"""Soft preferences and the policy gradient lead to the same optimum."""

from __future__ import annotations

from collections.abc import Iterator

from fenchel.alignment import ScoreAnnotator

from ..paper import Claim, Run
from .language import Language, count_of_fives

__all__ = ["claims"]

BETA, STEPS = 1.0, 400


def claims(run: Run, language: Language) -> Iterator[Claim]:
    """Yield how far reward and divergence of both routes are apart."""
    annotator = ScoreAnnotator(count_of_fives)
    found = {}
    for loss in ("dpo", "rloo"):
        loop = language.loop(annotator, loss=loss, beta=BETA, labels="soft", temperature=1.0)
        state = loop.init(language.params)
        for _ in run.progress(range(0, STEPS, 25), f"optimum by {loss}"):
            state, _ = loop.run(state, language.prompts(), 25)
        found[loss] = language.measure(state.params, 4000)
    names = ("reward", "divergence")
    for name, one, other in zip(names, found["dpo"], found["rloo"], strict=True):
        gap = abs(one / other - 1.0)
        yield Claim(f"soft DPO ({one:.3g}) against RLOO ({other:.3g}), {name}", gap, "<=", 0.1)
