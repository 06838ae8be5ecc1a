"""What is reported of a step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .draw import Answers
from .labels import Decision
from .state import Batch

__all__ = ["Feedback", "Metrics", "measure"]

_NAN = float("nan")


class Metrics(NamedTuple):
    """Numbers of one step of the loop; Python floats and integers.

    Parameters
    ----------
    loss
        Mean loss of the pairs that counted, before the first update; NaN if none did.
    win_rate
        Of the policy against the reference, from the same pairs by importance weights
        exp(-log-ratio): no further annotation is paid for. Unbiased responses have temperature 1;
        fewer and fewer pairs say anything as the policies part: see `win_rate_ess`, and
        `OnlineLoop.win_rate` for a measurement.
    win_rate_ess
        Effective share of the pairs in `win_rate`.
    accuracy
        Share of the pairs that counted in which the log-ratios agree with the label.
    kl, kl_k3
        Estimates of KL(policy, reference) from the responses drawn, the mean of d and of
        exp(-d) - 1 + d for the log-ratio d; unbiased for responses of temperature 1.
    kl_exact
        Mean divergence as the policy's `compare` gives it: summed over all responses by tabular and
        enumerated policies, over the vocabulary at each token drawn by language models; NaN where
        the policy has none.
    lengths
        Mean length of the responses.
    position_bias
        Mean over the pairs asked in both orders; NaN if there are none.
    empty
        Responses without a token.
    pairs, identical, invalid, ties, used
        How many pairs were drawn, had the same response twice (and were not asked), had no answer,
        were ties, and counted.
    updates
        Optimiser steps taken.
    grad_norm
        Of the first update.

    Examples
    --------
    >>> Metrics._fields[:3]
    ('loss', 'win_rate', 'win_rate_ess')
    """

    loss: float
    win_rate: float
    win_rate_ess: float
    accuracy: float
    kl: float
    kl_k3: float
    kl_exact: float
    lengths: float
    position_bias: float
    empty: int
    pairs: int
    identical: int
    invalid: int
    ties: int
    used: int
    updates: int
    grad_norm: float


class Feedback(NamedTuple):
    """All that a step knows before it learns; NumPy arrays but for the batch."""

    batch: Batch
    ratios: tuple[Any, Any]
    kl: tuple[Any, ...]
    lengths: list[Any]
    answers: Answers
    decision: Decision


def measure(feedback: Feedback, *, loss: float, grad_norm: float, updates: int) -> Metrics:
    """Put the report together."""
    answers, decision = feedback.answers, feedback.decision
    identical, known = answers.identical, answers.known
    first, second = (np.asarray(r, dtype=np.float64) for r in feedback.ratios)
    both = np.concatenate([first, second])
    win_rate, ess = _win_rate(
        first, second, np.where(identical, 0.5, answers.prob), known | identical
    )
    with np.errstate(over="ignore"):
        k3 = np.expm1(-both) + both
    lengths = np.concatenate(feedback.lengths)
    used, target = decision.weight > 0, decision.target
    decided = used & (target != 0.5) & (first != second)
    agree = (first > second) == (target > 0.5)
    return Metrics(
        loss=loss,
        win_rate=win_rate,
        win_rate_ess=ess,
        accuracy=_mean(agree[decided]),
        kl=_mean(both),
        kl_k3=_mean(k3),
        kl_exact=_mean(np.concatenate(feedback.kl)) if feedback.kl else _NAN,
        lengths=_mean(lengths),
        position_bias=_mean(answers.bias[np.isfinite(answers.bias)]),
        empty=int((lengths == 0).sum()),
        pairs=len(first),
        identical=int(identical.sum()),
        invalid=int((~known & ~identical).sum()),
        ties=int(decision.tie.sum()),
        used=int(used.sum()),
        updates=updates,
        grad_norm=grad_norm,
    )


def _mean(x: Any) -> float:
    return float(np.mean(x)) if np.size(x) else _NAN


def _win_rate(first: Any, second: Any, prob: Any, known: Any) -> tuple[float, float]:
    """E[P(y beats y')] for y from the policy and y' from the reference, self-normalised.

    Both responses come from the policy; either takes the part of the reference's, with the weight
    pi_ref / pi = exp(-d).
    """
    d = np.concatenate([second[known], first[known]])
    wins = np.concatenate([prob[known], 1.0 - prob[known]])
    if not d.size or not np.isfinite(d).all():
        return _NAN, _NAN
    weight = np.exp(d.min() - d)
    weight /= weight.sum()
    return float(weight @ wins), float(1.0 / (weight @ weight) / len(d))
