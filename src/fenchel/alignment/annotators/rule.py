"""An annotator that is a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._call import with_instruction
from .protocol import Annotation, check_pairs, combine_orders

__all__ = ["RuleAnnotator"]


@dataclass(frozen=True)
class RuleAnnotator:
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
    ValueError
        Raised by `annotate` if the rule returns a number outside [0, 1].

    Examples
    --------
    >>> longer = RuleAnnotator(lambda prompt, first, second: len(first) > len(second))
    >>> longer.annotate(["", ""], ["ab", "a"], ["a", "abc"]).prob_first
    array([1., 0.])
    """

    rule: Callable[..., Any]
    both_orders: bool = False

    def annotate(
        self,
        prompts: Sequence[Any],
        first: Sequence[Any],
        second: Sequence[Any],
        instruction: str | None = None,
    ) -> Annotation:
        """Apply the rule to each pair."""
        count = check_pairs(prompts, first, second)
        rule = with_instruction(self.rule, instruction)
        raw = np.full((count, 2), np.nan)
        rows = zip(prompts, first, second, strict=True)
        for i, (prompt, a, b) in enumerate(rows):
            raw[i, 0] = float(rule(prompt, a, b))
            if self.both_orders:
                raw[i, 1] = float(rule(prompt, b, a))
        prob, bias = combine_orders(raw[:, 0], raw[:, 1])
        if not self.both_orders:
            prob = raw[:, 0].copy()
        return Annotation(prob, ~np.isnan(prob), bias, raw)
