"""From annotations to what the loss is told: which response is better, and which pairs count."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["LABELS", "TIES", "Decision", "decide"]

LABELS = ("hard", "soft", "sample")
TIES = ("drop", "soft", "random")


class Decision(NamedTuple):
    """Targets and weights of pairs, NumPy arrays of shape (n,).

    Parameters
    ----------
    target
        Probability that the first response is the better one; 1/2 where the weight is 0.
    weight
        1 where the pair counts, 0 where it was dropped.
    tie
        Where there was an answer and it was a tie.
    """

    target: Any
    weight: Any
    tie: Any


def decide(
    prob: Any, valid: Any, uniform: Any, *, labels: str, ties: str, tie_margin: float
) -> Decision:
    """Turn probabilities into labels; a pair without an answer has weight 0.

    Parameters
    ----------
    prob, valid
        Of the annotation; shape (n,).
    uniform
        Numbers in [0, 1) for "sample" and for random ties; shape (n,).
    labels, ties, tie_margin
        As for `OnlineLoop`.

    Returns
    -------
    Decision
        Targets, weights, ties.

    Examples
    --------
    >>> two = np.asarray([0.9, 0.5])
    >>> decide(two, two > 0, two, labels="hard", ties="drop", tie_margin=0.0)
    Decision(target=array([1. , 0.5]), weight=array([1., 0.]), tie=array([False,  True]))
    """
    known = np.asarray(valid, dtype=bool) & np.isfinite(prob)
    p = np.where(known, prob, 0.5)
    tie = known & (np.abs(p - 0.5) <= tie_margin)
    drawn = (uniform < p).astype(np.float64)
    if labels == "soft":
        target, counts = p, known
    elif labels == "sample":
        target, counts = drawn, known
    else:
        coin = (uniform < 0.5).astype(np.float64)
        of_ties = {"drop": 0.5, "soft": p, "random": coin}[ties]
        target = np.where(tie, of_ties, (p > 0.5).astype(np.float64))
        counts = known & ~tie if ties == "drop" else known
    return Decision(np.where(counts, target, 0.5), counts.astype(np.float64), tie)
