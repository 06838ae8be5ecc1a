"""Alignment: losses of pairs, log-probabilities of sequences, divergences, realigned logits."""

from __future__ import annotations

from typing import Any

from ... import alignment
from ..operator import Operator
from ..samples import Draw, normal, sample, uniform

__all__ = ["ENTRIES"]

Array = Any
HOME = "fenchel.alignment"
HERE = "fenchel.testing.catalogue.alignment"
LOGITS = normal(2, 3, 5)


def fixed(*rows: Any) -> Draw:
    """Integers or booleans, the same in every draw."""

    def draw(_: Any) -> Any:
        import numpy as np

        return np.asarray(rows)

    return draw


def pair_loss(
    a: Array, b: Array, prob: Array | None = None, /, *, name: str, **options: Any
) -> Array:
    """Apply a loss of pairs."""
    return alignment.pair_loss(name, a, b, beta=0.7, prob=prob, **options)


LABELS = fixed([1, 4, 0], [2, 2, 3])
MASK = fixed([True, True, False], [True, True, True])


def _pairs(name: str, **options: Any) -> Operator:
    soft = sample(normal(6, scale=2.0), normal(6, scale=2.0), uniform(0.1, 0.9, 6))
    return Operator(
        f"pair_loss({name}, soft)",
        f"{HERE}:pair_loss",
        soft,
        options={"name": name, **options},
        differentiable=(0, 1, 2),
    )


ENTRIES = (
    _pairs("dpo"),
    _pairs("kto"),
    _pairs("fy_sparse"),
    Operator("sequence_logprob", f"{HOME}:sequence_logprob", sample(LOGITS, LABELS, MASK)),
    Operator("kl_exact", f"{HOME}:kl_exact", sample(LOGITS, LOGITS, MASK), differentiable=(0, 1)),
    Operator(
        "realign_logits",
        f"{HOME}:realign_logits",
        sample(normal(3, 5), normal(3, 5), uniform(0.2, 2.0, 3, 1)),
        differentiable=(0, 1, 2),
    ),
    Operator(
        "realign_log_partition",
        f"{HOME}:realign_log_partition",
        sample(normal(3, 5), normal(3, 5), uniform(0.2, 2.0, 3, 1)),
        differentiable=(0, 1, 2),
    ),
)
