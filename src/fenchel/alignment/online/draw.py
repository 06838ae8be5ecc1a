"""The responses of a step, and what the annotator says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...random import RandomStream
from ..annotators.protocol import Annotator, check_annotation
from .batches import row_count
from .policy import items_of, same_item, shown_lengths

__all__ = ["Answers", "Drawn", "ask", "draw_pairs", "lengths_of", "shown"]

Tree = Any
Array = Any


class Drawn(NamedTuple):
    """Two responses to each prompt, with log-probabilities under policy and reference."""

    first: Any
    second: Any
    logp: tuple[Array, Array]
    ref: tuple[Array, Array]
    kl: tuple[Array, ...] = ()  # sums over the vocabulary, of a policy that can `compare`


class Answers(NamedTuple):
    """Annotations of all pairs, NumPy arrays; NaN where none was asked or given."""

    prob: Any
    known: Any
    identical: Any
    bias: Any


def draw_pairs(
    policy: Any,
    temperature: float,
    params: Tree,
    reference: Tree,
    prompts: Any,
    streams: tuple[RandomStream, RandomStream],
) -> Drawn:
    """Draw two independent responses to each prompt."""
    first, second = (policy.sample(params, prompts, rng, temperature) for rng in streams)
    sides = [_compared(policy, params, reference, prompts, said) for said in (first, second)]
    logp, ref, *kl = zip(*sides, strict=True)
    shape = (row_count(prompts),)
    for found in (*logp, *ref):
        if tuple(found.shape) != shape:
            raise ValueError(
                f"`policy.logprob` must return shape {shape}; got {tuple(found.shape)}"
            )
    return Drawn(first, second, logp, ref, *kl)


def _compared(
    policy: Any, params: Tree, reference: Tree, prompts: Any, responses: Any
) -> tuple[Array, ...]:
    """Return log-probabilities under both, and the divergence if the policy knows it."""
    compare = getattr(policy, "compare", None)
    if compare is not None:
        return tuple(compare(params, reference, prompts, responses))
    return tuple(policy.logprob(p, prompts, responses) for p in (params, reference))


def shown(
    policy: Any, decode: Callable[..., Any] | None, prompts: Any, responses: Any
) -> tuple[list[Any], list[Any]]:
    """Return prompts and responses as the annotator sees them."""
    own = decode if decode is not None else getattr(policy, "decode", None)
    if own is None:
        return items_of(prompts), items_of(responses)
    seen = own(prompts, responses)
    return seen[0], seen[1]


def ask(
    annotator: Annotator,
    prompts: list[Any],
    first: list[Any],
    second: list[Any],
    instruction: str | None,
) -> Answers:
    """Annotate the pairs of different responses."""
    identical = np.asarray(
        [same_item(a, b) for a, b in zip(first, second, strict=True)], dtype=bool
    )
    prob, bias = np.full(len(first), np.nan), np.full(len(first), np.nan)
    known = np.zeros(len(first), dtype=bool)
    rows = np.flatnonzero(~identical)
    if rows.size:
        x, a, b = ([column[i] for i in rows] for column in (prompts, first, second))
        answer = check_annotation(annotator.annotate(x, a, b, instruction), rows.size)
        prob[rows], bias[rows] = answer.prob_first, answer.position_bias
        known[rows] = answer.valid & ~np.isnan(answer.prob_first)
    return Answers(np.where(known, prob, np.nan), known, identical, bias)


def lengths_of(policy: Any, responses: Any, items: list[Any]) -> Any:
    """Return the number of tokens of each response: the policy's word, else as it is shown."""
    own = getattr(policy, "lengths", None)
    if own is None:
        return shown_lengths(items)
    return np.asarray(items_of(own(responses)), dtype=np.float64)
