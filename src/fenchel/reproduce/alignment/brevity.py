"""The instruction alone makes the responses shorter."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from fenchel.alignment import ScoreAnnotator

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .language import Language, count_of_fives

__all__ = ["claims"]

# What the annotator is told, and what a symbol then costs.
INSTRUCTIONS = {"helpful": 0.0, "helpful and short": 0.3, "helpful and very short": 0.6}
STEPS, BETA = 250, 1.0


def claims(run: Run, language: Language) -> Iterator[Claim]:
    """Yield that the length falls, and that the original rule still prefers the policy."""
    annotator = ScoreAnnotator(_score, temperature=0.0)
    judge = language.loop(beta=BETA)
    lengths, wins = [], []
    for instruction in INSTRUCTIONS:
        loop = language.loop(annotator, beta=BETA, instruction=instruction)
        state = loop.init(language.params)
        for _ in run.progress(range(0, STEPS, 25), instruction):
            state, _ = loop.run(state, language.prompts(), 25)
        shown = language.responses(state.params)[1]
        lengths.append(sum(map(len, shown)) / len(shown))
        wins.append(
            judge.win_rate(state.params, language.params, language.prompts(1000), rng=7).value
        )
    run.save(_draw(lengths, wins), "brevity")
    shorter = min(a - b for a, b in pairwise(lengths))
    yield Claim("a shorter instruction, symbols saved each time", shorter, ">=", 0.1)
    yield Claim("win rate on the original rule, the smallest", min(wins), ">=", 0.9)


def _score(prompt: Any, response: Any, instruction: str) -> float:
    return count_of_fives(prompt, response) - INSTRUCTIONS[instruction] * len(response)


def _draw(lengths: list[float], wins: list[float]) -> Any:
    figure, axis = new_figure()
    axis.bar(range(len(lengths)), lengths, color=COLORS["soft"], width=0.5)
    for place, (length, win) in enumerate(zip(lengths, wins, strict=True)):
        axis.annotate(f"wins {win:.0%}", (place, length), ha="center", va="bottom")
    axis.set_xticks(range(len(lengths)), list(INSTRUCTIONS))
    axis.set(ylabel="mean length", title="what the annotator is told")
    return figure
