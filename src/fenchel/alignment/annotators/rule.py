"""An annotator that is a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._call import check_callable, number_from, with_instruction
from .protocol import Annotation, Asked, OfColumns, combine_orders

__all__ = ["RuleAnnotator"]


@dataclass(frozen=True)
class RuleAnnotator(OfColumns):
    """Preferences by a rule.

    Parameters
    ----------
    rule
        Function of a prompt and two responses; it returns the probability that the first is better
        (a boolean will do). NaN is no answer. A parameter named `instruction` is given the
        instruction.
    both_orders
        Whether to ask with the responses exchanged too, and average: a rule such as
        ``len(first) > len(second)`` then calls a tie a tie.

    Raises
    ------
    TypeError
        If the rule is not callable; raised by `annotate` if it returns no number.
    ValueError
        Raised by `annotate` if the number lies outside [0, 1].

    Examples
    --------
    >>> longer = RuleAnnotator(lambda prompt, first, second: len(first) > len(second))
    >>> longer.annotate(["", ""], ["ab", "a"], ["a", "abc"]).prob_first
    array([1., 0.])
    """

    rule: Callable[..., Any]
    both_orders: bool = False

    def __post_init__(self) -> None:
        check_callable("rule", self.rule)

    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        rule = with_instruction(self.rule, instruction)
        raw = np.full((len(asked.prompts), 2), np.nan)
        for i, (prompt, a, b) in enumerate(zip(*asked, strict=True)):
            raw[i, 0] = number_from("rule", rule, prompt, a, b)
            if self.both_orders:
                raw[i, 1] = number_from("rule", rule, prompt, b, a)
        outside = raw[(raw < 0) | (raw > 1)]
        if outside.size:
            raise ValueError(f"`rule` must return a number in [0, 1]; got {outside[0]:g}")
        prob, bias = combine_orders(raw[:, 0], raw[:, 1])
        if not self.both_orders:
            prob = raw[:, 0].copy()
        return Annotation(prob, ~np.isnan(prob), bias, raw)
