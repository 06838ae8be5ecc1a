"""Feedback on the policy's own responses against a fixed set of annotated pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fenchel.alignment.online.state import Batch
from fenchel.trees import map

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .language import Language

__all__ = ["claims", "compare", "draw"]

BETA, PAIRS = 0.3, 256
STEPS, EVERY = {"dpo": 200, "slic": 200, "ipo": 400}, 20  # of the online runs
OFFLINE = 400


@dataclass(frozen=True)
class Course:
    """Reward and divergence along a run, at every so many steps."""

    steps: list[int]
    rewards: list[float]
    divergences: list[float]

    @property
    def peak(self) -> float:
        """Largest reward on the way."""
        return max(self.rewards)

    @property
    def fall(self) -> float:
        """Share of the peak that is lost by the end."""
        return 1.0 - self.rewards[-1] / self.peak

    @property
    def rise_after_peak(self) -> float:
        """Growth of the divergence from the peak of the reward on."""
        return self.divergences[-1] - self.divergences[self.rewards.index(self.peak)]

    def gain(self, before: float) -> float:
        """Return the reward won for each unit of divergence, over the second half."""
        half = len(self.steps) // 2
        won = sum(self.rewards[half:]) / (len(self.steps) - half) - before
        return won * (len(self.steps) - half) / sum(self.divergences[half:])


@dataclass(frozen=True)
class Comparison:
    """Both courses of one loss, and how often the online policy beats the first model."""

    online: Course
    offline: Course
    win_rate: float


def compare(
    language: Language, loss: str, *, online: int, offline: int, samples: int = 2000
) -> Comparison:
    """Train with both kinds of feedback from the same model."""
    loop = language.loop(loss=loss, beta=BETA)
    params, fresh = _online(language, loop, online, samples)
    fixed = _offline(language, loop, offline, samples)
    rate = loop.win_rate(params, language.params, language.prompts(samples // 2), rng=7).value
    return Comparison(fresh, fixed, rate)


def claims(run: Run, language: Language) -> Iterator[Claim]:
    """Yield what is claimed of each loss; DPO alone for a quick run."""
    losses = ("dpo",) if run.quick else tuple(STEPS)
    found = {name: compare(language, name, online=STEPS[name], offline=OFFLINE) for name in losses}
    run.save(draw(found), "online_offline")
    dpo = found["dpo"]
    yield Claim("online DPO: win rate against the first model", dpo.win_rate, ">=", 0.97)
    yield Claim(
        "online DPO: reward over the best of offline DPO",
        dpo.online.rewards[-1] / dpo.offline.peak, ">=", 2.0,
    )  # fmt: skip
    yield Claim("offline DPO: share of the best reward lost again", dpo.offline.fall, ">=", 0.05)
    yield Claim(
        "offline DPO: growth of the divergence meanwhile", dpo.offline.rise_after_peak, ">=", 0.1
    )
    if not run.quick:
        slic = found["slic"].online.rewards[-1] / found["slic"].offline.peak
        yield Claim("online slic: reward over the best of offline slic", slic, ">=", 1.0)
        # Online the optimum of ipo is relative to the policy itself, which leaves less to win by:
        # its reward is not larger than offline, but it costs less.
        before = language.reward(language.params)
        gains = [getattr(found["ipo"], kind).gain(before) for kind in ("online", "offline")]
        yield Claim(
            "ipo: reward won for the divergence spent, online over offline",
            gains[0] / gains[1], ">=", 1.0,
        )  # fmt: skip


def _online(language: Language, loop: Any, steps: int, samples: int) -> tuple[Any, Course]:
    state, course = loop.init(language.params), Course([], [], [])
    prompts = language.prompts()
    for _ in language.run.progress(range(0, steps, EVERY), f"online {loop.loss}"):
        state, _ = loop.run(state, prompts, EVERY)
        _note(language, course, state.step, state.params, samples)
    return state.params, course


def _offline(language: Language, loop: Any, steps: int, samples: int) -> Course:
    """Train on pairs of the first model, annotated once."""
    import numpy as np

    from fenchel.random import RandomStream

    library, course = language.run.library, Course([], [], [])
    pairs = loop.annotated(loop.init(language.params), language.prompts(PAIRS))
    state = loop.init(language.params)
    for i in language.run.progress(range(steps), f"offline {loop.loss}"):
        rows = RandomStream(3, step=i).uniform((64,), like=np.zeros(1)) * PAIRS
        index = library.backend.from_host(rows.astype(np.int64))
        state = loop.update(state, _rows(library, pairs, index))
        if (i + 1) % EVERY == 0:
            _note(language, course, i + 1, state.params, samples)
    return course


def _rows(library: Any, pairs: Batch, index: Any) -> Batch:
    rows: Batch = map(lambda leaf: library.namespace.take(leaf, index, axis=0), pairs)
    return rows


def _note(language: Language, course: Course, step: int, params: Any, samples: int) -> None:
    course.steps.append(step)
    reward, divergence = language.measure(params, samples)
    course.rewards.append(reward)
    course.divergences.append(divergence)


def draw(found: dict[str, Comparison]) -> Any:
    """Draw reward against step, and against divergence."""
    figure, (left, right) = new_figure(2)
    styles = dict(zip(STEPS, ("-", "--", ":"), strict=True))
    for name, result in found.items():
        for kind, course, color in (
            ("online", result.online, COLORS["soft"]),
            ("offline", result.offline, COLORS["smooth"]),
        ):
            label = f"{kind} {name}"
            left.plot(course.steps, course.rewards, styles[name], color=color, label=label)
            right.plot(course.divergences, course.rewards, styles[name], color=color)
    left.set(xlabel="step", ylabel="mean reward", title="feedback online and offline")
    right.set(xlabel="KL to the first model", title="reward for the divergence spent")
    left.legend(frameon=False, fontsize=8)
    return figure
