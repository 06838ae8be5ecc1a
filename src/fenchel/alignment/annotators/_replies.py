"""What is read from the replies of a server; anything else than what is meant is an error."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, isnan, log
from typing import Any

__all__ = ["MalformedReply", "chat_label_scores", "chat_text", "echo_label_score", "tokens_of"]


class MalformedReply(Exception):
    """The reply is not what the protocol says."""


def chat_text(reply: Any) -> str:
    """Return the text of a chat completion."""
    return _text(_at(reply, "choices", 0, "message", "content"))


def chat_label_scores(reply: Any, labels: Sequence[str]) -> list[float]:
    """Return log-probabilities of labels from the likeliest first tokens of a chat completion.

    Tokens that differ by spaces or case count together. A label that is not among the likeliest
    tokens has at most the probability of the last of them, and of what is left of 1: the smaller of
    these stands for it. Where no label is listed the answer is NaN.
    """
    listed = _at(reply, "choices", 0, "logprobs", "content", 0, "top_logprobs")
    if not isinstance(listed, list) or not listed:
        raise MalformedReply("no log-probabilities")
    pairs = [(_text(_at(item, "token")), _number(_at(item, "logprob"))) for item in listed]
    masses = dict.fromkeys(labels, 0.0)
    for token, logprob in pairs:
        for label in labels:
            if token.strip().lower() == label.strip().lower():
                masses[label] += exp(min(logprob, 0.0))
    if not any(masses.values()):
        return [float("nan")] * len(labels)
    rest = max(1.0 - sum(exp(min(logprob, 0.0)) for _, logprob in pairs), 1e-12)
    bound = min(log(rest), min(logprob for _, logprob in pairs))
    return [log(masses[label]) if masses[label] > 0 else bound for label in labels]


def echo_label_score(reply: Any, start: int) -> float:
    """Return the sum of the log-probabilities of the tokens from character `start` on.

    NaN where a token reaches over that place, as the label is then no sequence of tokens.
    """
    found = _at(reply, "choices", 0, "logprobs")
    offsets, logprobs = _at(found, "text_offset"), _at(found, "token_logprobs")
    if not isinstance(offsets, list) or not isinstance(logprobs, list):
        raise MalformedReply("no offsets")
    if len(offsets) != len(logprobs) or start not in offsets:
        return float("nan")
    first = offsets.index(start)
    return sum(_number(value) for value in logprobs[first:])


def tokens_of(reply: Any) -> int:
    """Return how many tokens a server says it was paid for, 0 where it does not say."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and total > 0 else 0


def _at(value: Any, *path: str | int) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise MalformedReply(f"no {step!r}") from None
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedReply("no text")
    return value


def _number(value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or isnan(value)
        or value == inf
    ):
        raise MalformedReply("no number")
    return float(value)
