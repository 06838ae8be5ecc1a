"""Realigning when decoding against training anew with another regularization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from fenchel import trees
from fenchel.alignment import ScoreAnnotator, Sweep, sweep
from fenchel.backend import Array, namespace
from fenchel.random import RandomStream

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .language import FIVE, POLICY, Language, count_of_fives

__all__ = ["QUICK", "Outcome", "claims", "compare", "draw"]

BETA, STEPS, SAMPLES = 1.0, 800, 16000
EVERY, TAIL = 25, 0.25
GRID = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
QUICK = (0.5, 1.0, 1.5), 240


@dataclass(frozen=True)
class Reader:
    """The policy as a model that remembers its state."""

    params: Any

    def start(self, tokens: Array) -> tuple[Array, Array]:
        """Read prompts."""
        state = POLICY._read(self.params, tokens)
        return POLICY._project(self.params, state), state

    def step(self, state: Array, token: Array) -> tuple[Array, Array]:
        """Read one more token."""
        state = POLICY._cell(self.params, state, token)
        return POLICY._project(self.params, state), state


@dataclass(frozen=True)
class Outcome:
    """Mean rewards by strength: token by token, corrected, and of models trained for it."""

    strengths: tuple[float, ...]
    tokens: list[float]
    corrected: list[float]
    retrained: list[float]
    ess: list[float]

    def gap(self, rewards: list[float]) -> float:
        """Return the largest deviation from the retrained models, relative to them."""
        pairs = zip(rewards, self.retrained, strict=True)
        return max(abs(found / wanted - 1.0) for found, wanted in pairs)


def trained(run: Run, language: Language, beta: float, steps: int) -> Any:
    """Return parameters after online feedback with soft labels: the mean of the last quarter.

    A strength above 1 multiplies what the aligned model lacks to its optimum, and the noise of its
    last steps.
    """
    annotator = ScoreAnnotator(count_of_fives)
    loop = language.loop(annotator, loss="dpo", beta=beta, labels="soft", temperature=1.0)
    state = loop.init(language.params)
    kept = []
    for step in run.progress(range(0, steps, EVERY), f"trained at beta {beta:.3g}"):
        state, _ = loop.run(state, language.prompts(), EVERY)
        if step + EVERY > (1.0 - TAIL) * steps:
            kept.append(state.params)
    return trees.scale(1.0 / len(kept), reduce(trees.add, kept))


def compare(run: Run, language: Language, grid: tuple[float, ...], steps: int) -> Outcome:
    """Sweep the strengths of one aligned model, and train a model for each of them."""
    aligned = trained(run, language, BETA, steps)
    found = [_swept(language, aligned, grid, how) for how in (None, "sir")]
    retrained = []
    for strength in grid:
        params = aligned
        if strength != 1.0:
            params = trained(run, language, BETA / strength, steps)
        retrained.append(language.measure(params, SAMPLES)[0])
    tokens, corrected = ([float(score) for score in one.scores] for one in found)
    share = [float(size) / SAMPLES for size in found[0].ess]
    return Outcome(grid, tokens, corrected, retrained, share)


def _swept(language: Language, aligned: Any, grid: tuple[float, ...], how: str | None) -> Sweep:
    models = (Reader(language.params), Reader(aligned))
    return sweep(
        models, language.prompts(SAMPLES), _fives, strengths=grid, beta=BETA,
        max_new_tokens=POLICY.max_tokens, end_token=POLICY.end_token, correction=how,
        rng=RandomStream(11),
    )  # fmt: skip


def _fives(tokens: Array) -> Array:
    xp = namespace(tokens)
    return xp.sum(xp.astype(tokens == FIVE, xp.float32), axis=-1)


def claims(run: Run, language: Language) -> Iterator[Claim]:
    """Yield how close realigned models come to those trained anew."""
    grid, steps = QUICK if run.quick else (GRID, STEPS)
    found = compare(run, language, grid, steps)
    run.save(draw(found), "realignment")
    yield from verdicts(found)


def verdicts(found: Outcome) -> Iterator[Claim]:
    """Yield the claims that hold of an outcome."""
    yield Claim(
        "reward by DeRa against training anew, largest gap", found.gap(found.tokens), "<=", 0.06
    )
    yield Claim("the same with importance resampling", found.gap(found.corrected), "<=", 0.06)
    steps = [b - a for a, b in zip(found.tokens, found.tokens[1:], strict=False)]
    yield Claim("growth of the reward from strength to strength", min(steps), ">=", 0.0)
    yield Claim("effective sample size of the weights, smallest share", min(found.ess), ">=", 0.5)


def draw(found: Outcome) -> Any:
    """Return rewards by strength."""
    figure, axis = new_figure()
    curves = {
        "DeRa, token by token": (found.tokens, COLORS["soft"], "o-"),
        "with importance resampling": (found.corrected, COLORS["smooth"], "s--"),
        "trained anew at beta / strength": (found.retrained, COLORS["reference"], "x:"),
    }
    for label, (rewards, color, style) in curves.items():
        axis.plot(found.strengths, rewards, style, color=color, label=label)
    axis.set(xlabel="strength", ylabel="mean reward", title="One aligned model, all strengths")
    axis.legend(frameon=False)
    return figure
