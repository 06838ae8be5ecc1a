"""Identities of the mixture, on a language whose responses are all listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.alignment import realign_log_partition, realign_logits
from fenchel.backend import Array, namespace
from fenchel.special import logsumexp
from fenchel.testing import EnumeratedLanguage

from ..paper import Claim, Run

__all__ = ["claims"]

LANGUAGE = EnumeratedLanguage(n_tokens=4, max_length=3)  # three symbols and the end
GRID = (-0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
BETA = 0.7


def claims(run: Run) -> Iterator[Claim]:
    """Yield the largest error of each identity over the strengths."""
    import numpy as np

    rng = np.random.default_rng(0)
    host = run.library.backend.from_host
    sft = host(LANGUAGE.random_logits(rng))
    reward = host(rng.normal(size=LANGUAGE.n_responses))
    bound = 1e-12 if str(sft.dtype).endswith("float64") else 1e-5
    log_sft = LANGUAGE.log_probs(sft)
    aligned = LANGUAGE.conditional(log_sft + reward / BETA)
    found = [_errors(run, s, sft, aligned, reward) for s in GRID]
    names = (
        "mixture of sequences against the optimum at beta / strength",
        "tokens times their partitions against the mixture of sequences",
        "value of the optimum against its log-partition",
    )
    for name, errors in zip(names, zip(*(row[:3] for row in found), strict=True), strict=True):
        yield Claim(f"{name}: largest error", max(errors), "<=", bound)
    ends = [row[3] for s, row in zip(GRID, found, strict=True) if s in (0.0, 1.0)]
    yield Claim("tokens against sequences at strengths 0 and 1: distance", max(ends), "<=", bound)
    apart = [row[3] for s, row in zip(GRID, found, strict=True) if s not in (0.0, 1.0)]
    yield Claim("tokens against sequences elsewhere: smallest distance", min(apart), ">=", 1e-3)


def _errors(run: Run, s: float, sft: Array, aligned: Array, reward: Array) -> tuple[float, ...]:
    """Return the errors of three identities, and how far tokens are from sequences."""
    xp = namespace(sft)
    log_sft, log_aligned = LANGUAGE.log_probs(sft), LANGUAGE.log_probs(aligned)
    mixture = _normalised((1.0 - s) * log_sft + s * log_aligned)
    optimum = _normalised(log_sft + (s / BETA) * reward)
    tokens = LANGUAGE.log_probs(realign_logits(sft, aligned, s))
    spread = realign_log_partition(sft, aligned, s)[:, None] + xp.zeros_like(sft)
    weighted = _normalised(tokens + LANGUAGE.token_sums(spread))
    p = xp.exp(optimum)
    # s E[r] - beta KL = beta log E_sft exp(s r / beta), both times s.
    value = s * xp.sum(p * reward) - BETA * xp.sum(p * (optimum - log_sft))
    partition = BETA * logsumexp(log_sft + (s / BETA) * reward)

    def largest(x: Array) -> float:
        return float(xp.max(xp.abs(x)))

    distance = 0.5 * float(xp.sum(xp.abs(xp.exp(tokens) - xp.exp(mixture))))
    return (
        largest(xp.exp(mixture) - p),
        largest(xp.exp(weighted) - xp.exp(mixture)),
        largest(value - partition),
        distance,
    )


def _normalised(log_weights: Array) -> Any:
    return log_weights - logsumexp(log_weights)
