"""What an annotator is, what it answers, and how the answers of both orders become one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ...arrays import check_choice

__all__ = [
    "Annotation",
    "Annotator",
    "Asked",
    "OfColumns",
    "check_annotation",
    "check_annotator",
    "combine_logits",
    "combine_orders",
]

_GRID = 2.0**53  # on multiples of 1/_GRID both 1/2 + d and 1/2 - d are exact


class Annotation(NamedTuple):
    """Which response of each pair is better: NumPy arrays, one row a pair.

    Parameters
    ----------
    prob_first
        Probability that the first response is better, of shape (n,); NaN where there is no answer.
    valid
        Whether there is an answer, of shape (n,). A pair without one has no winner.
    position_bias
        How much the first place was worth, in [-1/2, 1/2]; NaN where one order alone was asked.
    raw
        Probabilities that the response shown first wins, of shape (n, 2): in the given order, and
        with the responses exchanged. NaN where it was not asked, or not answered.

    Examples
    --------
    >>> Annotation(*(np.zeros(0),) * 3, np.zeros((0, 2))).prob_first.shape
    (0,)
    """

    prob_first: Any
    valid: Any
    position_bias: Any
    raw: Any


@runtime_checkable
class Annotator(Protocol):
    """Anything with `annotate(prompts, first, second, instruction=None) -> Annotation`.

    Examples
    --------
    >>> from fenchel.alignment import RuleAnnotator
    >>> isinstance(RuleAnnotator(lambda prompt, first, second: 0.5), Annotator)
    True
    """

    def annotate(
        self,
        prompts: Sequence[Any],
        first: Sequence[Any],
        second: Sequence[Any],
        instruction: str | None = None,
    ) -> Annotation:
        """Say which response of each pair is better.

        Parameters
        ----------
        prompts, first, second
            Columns of one length: prompts, and two responses to each.
        instruction
            What to look for; None leaves it to the annotator.

        Returns
        -------
        Annotation
            A row a pair.

        Raises
        ------
        ValueError
            If the columns differ in length.
        """
        ...


class Asked(NamedTuple):
    """Columns of one length: prompts, and two responses to each."""

    prompts: Sequence[Any]
    first: Sequence[Any]
    second: Sequence[Any]


class OfColumns(ABC):
    """Base of annotators: `annotate` checks the columns, and `_answer` has the say."""

    def annotate(
        self,
        prompts: Sequence[Any],
        first: Sequence[Any],
        second: Sequence[Any],
        instruction: str | None = None,
    ) -> Annotation:
        """See `Annotator.annotate`."""
        _check_lengths(prompts, first, second)
        return self._answer(Asked(prompts, first, second), instruction)

    @abstractmethod
    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        """Say which response of each pair is better."""


def combine_orders(p_ab: Any, p_ba: Any, how: str = "prob") -> tuple[Any, Any]:
    """Combine the answers of both orders into one probability.

    With p_AB the probability that A wins where it is shown first, and p_BA that B wins where *it*
    is, "prob" takes (p_AB + 1 - p_BA) / 2 and "logit" has the logit
    (logit p_AB - logit p_BA) / 2. A bias that adds to the logits is removed exactly by "logit",
    while "prob" shrinks the answer towards 1/2. Who always follows the position gets 1/2.

    Parameters
    ----------
    p_ab, p_ba
        Probabilities in [0, 1], NumPy arrays of one shape or numbers. NaN stays NaN.
    how
        "prob" or "logit".

    Returns
    -------
    tuple
        Probability that A is better, and the position bias (p_AB + p_BA - 1) / 2. Exchanging A and
        B turns the first into 1 minus it, exactly.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1], the shapes differ, or `how` is unknown.

    References
    ----------
    S. Guo et al., arXiv 2402.04792; H. Lee et al., arXiv 2309.00267 (both orders).

    Examples
    --------
    >>> prob, bias = combine_orders(0.75, 0.5)
    >>> float(prob), float(bias)
    (0.625, 0.125)
    """
    check_choice("how", how, ("prob", "logit"))
    first = np.asarray(p_ab, dtype=np.float64)
    second = np.asarray(p_ba, dtype=np.float64)
    if first.shape != second.shape and first.ndim and second.ndim:
        raise ValueError(f"`p_ba` must have the shape {first.shape} of `p_ab`; got {second.shape}")
    for name, p in (("p_ab", first), ("p_ba", second)):
        outside = p[(p < 0) | (p > 1)]
        if outside.size:
            raise ValueError(f"`{name}` must be in [0, 1]; got {outside.flat[0]:g}")
    bias = 0.5 * (first + second) - 0.5
    if how == "prob":
        return _around_half(0.5 * (first - second)), bias
    with np.errstate(divide="ignore"):
        logits = [np.log(p) - np.log1p(-p) for p in (first, second)]
    return combine_logits(*logits), bias


def combine_logits(l_ab: Any, l_ba: Any) -> Any:
    """Return the probability whose logit is half of l_AB - l_BA; 1/2 where both are infinite."""
    with np.errstate(invalid="ignore"):
        half = 0.5 * (l_ab - l_ba)
    unknown = np.isnan(l_ab) | np.isnan(l_ba)
    half = np.where(np.isnan(half) & ~unknown, 0.0, half)
    return _around_half(0.5 * np.tanh(0.5 * half))


def _around_half(distance: Any) -> Any:
    """Return 1/2 plus a distance, rounded so that the probabilities of both orders sum to 1."""
    return 0.5 + np.round(distance * _GRID) / _GRID


def check_annotator(name: str, annotator: Any) -> None:
    """Raise TypeError unless it has `annotate`."""
    if not callable(getattr(annotator, "annotate", None)):
        raise TypeError(f"`{name}` must have annotate; got {type(annotator).__qualname__}")


def check_annotation(answer: Any, count: int) -> Annotation:
    """Return an answer with its columns as NumPy arrays of the length of the question.

    Raises
    ------
    TypeError
        If it is no annotation.
    ValueError
        If a column has another length, or a probability lies outside [0, 1].
    """
    if not isinstance(answer, tuple) or len(answer) != len(Annotation._fields):
        raise TypeError(f"`annotator` must return an Annotation; got {type(answer).__qualname__}")
    prob, bias, raw = (np.asarray(answer[i], dtype=np.float64) for i in (0, 2, 3))
    found = Annotation(prob, np.asarray(answer[1], dtype=bool), bias, raw)
    for name, column, shape in zip(
        found._fields, found, [(count,)] * 3 + [(count, 2)], strict=True
    ):
        if column.shape != shape:
            raise ValueError(f"`annotator` must give `{name}` of shape {shape}; got {column.shape}")
    outside = prob[(prob < 0) | (prob > 1)]
    if outside.size:
        raise ValueError(f"`annotator` must give probabilities in [0, 1]; got {outside[0]:g}")
    return found


def _check_lengths(prompts: Sequence[Any], first: Sequence[Any], second: Sequence[Any]) -> None:
    """Raise ValueError if the lengths differ."""
    count = len(prompts)
    for name, column in (("first", first), ("second", second)):
        if len(column) != count:
            raise ValueError(
                f"`{name}` must be as long as `prompts` ({count}); got length {len(column)}"
            )
