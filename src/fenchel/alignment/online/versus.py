"""How often one policy beats another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autodiff import Estimate
from ...random import RandomStream
from .draw import ask, shown

__all__ = ["versus"]

Tree = Any


def versus(
    loop: Any,
    sample: Callable[[Tree, Any, RandomStream], Any],
    params: Tree,
    other: Tree,
    prompts: Any,
    stream: RandomStream,
) -> Estimate:
    """Draw a response of each policy to each prompt, and ask which is better."""
    sides = [
        shown(loop.policy, loop.decode, prompts, sample(p, prompts, s))
        for p, s in zip((params, other), stream.split(2), strict=True)
    ]
    asked, ours, theirs = sides[0][0], sides[0][1], sides[1][1]
    # Every second pair is shown the other way round, against a liking for one place.
    turned = np.arange(len(ours)) % 2 == 1
    first, second = (
        [b if turn else a for a, b, turn in zip(one, two, turned, strict=True)]
        for one, two in ((ours, theirs), (theirs, ours))
    )
    answers = ask(loop.annotator, asked, first, second, loop.instruction)
    wins = np.where(turned, 1.0 - answers.prob, answers.prob)
    wins = np.where(answers.identical, 0.5, wins)[answers.known | answers.identical]
    count = len(wins)
    value = float(wins.mean()) if count else float("nan")
    return Estimate(value, float(wins.std(ddof=1)) / count**0.5 if count > 1 else float("nan"))
