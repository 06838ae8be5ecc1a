"""An annotator that compares scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ...arrays import check_number
from ._call import check_callable, number_from, with_instruction
from .protocol import Annotation, Asked, OfColumns, combine_logits

__all__ = ["ScoreAnnotator"]


@dataclass(frozen=True)
class ScoreAnnotator(OfColumns):
    """Preferences by the difference of two scores: the logistic of (s_A - s_B) / temperature.

    Parameters
    ----------
    score
        Function of a prompt and a response, the larger the better; NaN is no answer. A parameter
        named `instruction` is given the instruction.
    temperature
        How soft; 0 makes the larger score win, and equal ones a tie.

    Raises
    ------
    TypeError
        If the score is not callable; raised by `annotate` if it returns no number.
    ValueError
        If the temperature is negative.

    Notes
    -----
    This is the model of Bradley and Terry with the score as reward.

    Examples
    --------
    >>> count = ScoreAnnotator(lambda prompt, response: response.count("a"), temperature=0.0)
    >>> count.annotate(["", ""], ["aa", "b"], ["a", "c"]).prob_first
    array([1. , 0.5])
    """

    score: Callable[..., Any]
    _: KW_ONLY
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_callable("score", self.score)
        check_number("temperature", self.temperature, minimum=0.0)

    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        score = with_instruction(self.score, instruction)
        scores = [
            np.asarray(
                [
                    number_from("score", score, x, y)
                    for x, y in zip(asked.prompts, column, strict=True)
                ],
                dtype=np.float64,
            )
            for column in (asked.first, asked.second)
        ]
        prob = self._compare(*scores)
        raw = np.stack([prob, 1.0 - prob], axis=-1)
        valid = ~np.isnan(prob)
        return Annotation(prob, valid, np.where(valid, 0.0, np.nan), raw)

    def _compare(self, first: Any, second: Any) -> Any:
        unknown = np.isnan(first) | np.isnan(second)
        with np.errstate(invalid="ignore"):
            difference = np.where(first == second, 0.0, first - second)  # inf - inf is a tie too
        if self.temperature == 0:
            return np.where(unknown, np.nan, 0.5 + 0.5 * np.sign(difference))
        with np.errstate(over="ignore"):  # a tiny temperature is as good as 0
            logit = difference / self.temperature
        return combine_logits(logit, -logit)
