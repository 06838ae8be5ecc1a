"""Several annotators as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import check_integer
from .cache import CachedAnnotator
from .protocol import Annotation, Annotator, Asked, OfColumns, check_annotation, check_annotator
from .store import AnswerStore

__all__ = ["EnsembleAnnotator"]


@dataclass(frozen=True)
class EnsembleAnnotator(OfColumns):
    """The mean of several annotators, over those that answered.

    Parameters
    ----------
    annotators
        The members; each pair is given to all of them.
    weights
        How much each counts, non-negative; the same by default.
    quorum
        How many members must answer for the pair to be valid.

    Raises
    ------
    TypeError
        If a member has no `annotate`, or the quorum is not an integer.
    ValueError
        If there is no member, the weights do not fit, or the quorum cannot be met.

    Examples
    --------
    >>> from fenchel.alignment import RuleAnnotator
    >>> short = RuleAnnotator(lambda prompt, a, b: len(a) < len(b))
    >>> none = RuleAnnotator(lambda prompt, a, b: float("nan"))
    >>> EnsembleAnnotator([short, none]).annotate([""], ["a"], ["bb"]).prob_first
    array([1.])
    """

    annotators: Sequence[Annotator]
    weights: Sequence[float] | None = None
    quorum: int = 1

    def __post_init__(self) -> None:
        if not hasattr(self.annotators, "__len__"):
            kind = type(self.annotators).__qualname__
            raise TypeError(f"`annotators` must be a list of annotators; got {kind}")
        count = len(self.annotators)
        if not count:
            raise ValueError("`annotators` must have at least one member; got none")
        for member in self.annotators:
            check_annotator("annotators", member)
        if self.weights is not None:
            given = np.asarray(self.weights, dtype=np.float64)
            if given.shape != (count,) or not (given >= 0).all() or not given.sum() > 0:
                raise ValueError(
                    f"`weights` must be {count} non-negative numbers, not all 0; "
                    f"got {list(self.weights)}"
                )
        check_integer("quorum", self.quorum, minimum=1, maximum=count)

    def with_store(self, store: AnswerStore) -> EnsembleAnnotator:
        """Return the same ensemble with the answers of each member kept in a store."""
        members = [
            CachedAnnotator(member, store, name=f"member {i}")
            for i, member in enumerate(self.annotators)
        ]
        return replace(self, annotators=members)

    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        answers = [
            check_annotation(a.annotate(*asked, instruction), len(asked.prompts))
            for a in self.annotators
        ]
        weights = np.ones(len(answers)) if self.weights is None else np.asarray(self.weights)
        valid = np.stack([a.valid for a in answers])
        share = weights[:, None] * valid
        enough = (valid.sum(axis=0) >= self.quorum) & (share.sum(axis=0) > 0)
        prob = _mean(np.stack([a.prob_first for a in answers]), share)
        bias = _mean(np.stack([a.position_bias for a in answers]), share)
        raw = _mean(np.stack([a.raw for a in answers]), share[..., None])
        return Annotation(np.where(enough, prob, np.nan), enough, bias, raw)


def _mean(values: Any, share: Any) -> Any:
    """Weighted mean over the members whose number is known; NaN where none is."""
    share = np.where(np.isnan(values), 0.0, share)
    total = share.sum(axis=0)
    sums = (share * np.where(np.isnan(values), 0.0, values)).sum(axis=0)
    return np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan)
