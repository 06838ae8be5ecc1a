"""A language model as annotator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

import numpy as np

from ...arrays import check_choice, check_integer
from ._awaited import awaited
from .protocol import Annotation, Asked, OfColumns, combine_logits, combine_orders
from .store import AnswerStore, key_of

__all__ = ["TEMPLATE", "LLMAnnotator", "parse_label"]

TEMPLATE = """\
{instruction}

Prompt:
{prompt}

Response 1:
{first}

Response 2:
{second}

Which response is better? Answer with 1 or 2 alone.
Answer:"""
_INSTRUCTION = "You compare two responses to a prompt and say which one is more helpful."
_FIELDS = ("instruction", "prompt", "first", "second")


def parse_label(text: str, labels: Sequence[str]) -> int | None:
    """Return which label an answer names, None where it names none or several.

    Parameters
    ----------
    text
        The answer of a model.
    labels
        The two labels.

    Returns
    -------
    int or None
        Place of the label.

    Examples
    --------
    >>> parse_label("Response 2.", ["1", "2"])
    1
    >>> parse_label("1 is shorter, 2 is kinder", ["1", "2"])
    """
    named = [
        i
        for i, label in enumerate(labels)
        if re.search(rf"(?<!\w){re.escape(label.strip())}(?!\w)", text, re.IGNORECASE)
    ]
    return named[0] if len(named) == 1 else None


@dataclass(frozen=True)
class LLMAnnotator(OfColumns):
    """Preferences by a language model, asked in both orders.

    With log-probabilities of the labels, a pair shown as (A, B) has
    p_AB = sigmoid(log P(label 1) - log P(label 2)); the same for (B, A), and `combine_orders`.
    From text alone p is 0 or 1, and a model that follows the position gives a tie. An answer that
    cannot be read, in either order, makes the pair invalid: it has no winner.

    Parameters
    ----------
    client
        Object with `score_labels(texts, labels) -> (n, 2)` log-probabilities (a row with NaN is no
        answer), with `complete(texts) -> list` of texts (None is no answer), or with both; either
        may be a coroutine function. One with
        `score_each` or `complete_each`, which yield (place, answer) as the answers come, has each
        kept at once where there is a cache.
    template
        Text with the fields {instruction}, {prompt}, {first} and {second}.
    combine
        "prob" or "logit", see `combine_orders`.
    labels
        How the model names the first and the second response.
    read
        "labels", "text", or "auto": labels where the client has `score_labels`.
    parse
        Function of an answer and the labels that returns 0, 1 or None.
    batch_size
        How many texts a client without `score_each` is given at once; all by default.
    store
        Where single answers are kept; `CachedAnnotator` gives its own.

    Raises
    ------
    TypeError
        If the client cannot do what `read` asks for; raised by `annotate` if it answers with
        something else than texts or numbers.
    ValueError
        If a field is missing in the template, or it has others, or an option is unknown; raised by
        `annotate` if the client does not answer each text.

    References
    ----------
    S. Guo et al., "Direct Language Model Alignment from Online AI Feedback", arXiv 2402.04792.

    Examples
    --------
    >>> class First:
    ...     def complete(self, texts):
    ...         return ["1"] * len(texts)
    >>> answer = LLMAnnotator(First()).annotate(["Hello"], ["Hi"], ["Go away"])
    >>> answer.prob_first, answer.position_bias
    (array([0.5]), array([0.5]))
    """

    client: Any
    template: str = TEMPLATE
    combine: str = "prob"
    labels: tuple[str, str] = ("1", "2")
    read: str = "auto"
    parse: Callable[[str, Sequence[str]], int | None] = parse_label
    batch_size: int | None = None
    store: AnswerStore | None = None

    def __post_init__(self) -> None:
        check_choice("combine", self.combine, ("prob", "logit"))
        check_choice("read", self.read, ("auto", "labels", "text"))
        _check_template(self.template)
        names = [label.strip() for label in self.labels]
        if len(names) != 2 or names[0] == names[1] or not all(names):
            raise ValueError(f"`labels` must be two different texts; got {self.labels}")
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, minimum=1)
        needed = "score_labels" if self._by_labels else "complete"
        if not hasattr(self.client, needed):
            raise TypeError(f"`client` must have {needed}; got {type(self.client).__qualname__}")

    @property
    def _by_labels(self) -> bool:
        if self.read == "auto":
            return hasattr(self.client, "score_labels")
        return self.read == "labels"

    def with_store(self, store: AnswerStore) -> LLMAnnotator:
        """Return the same annotator, keeping every single answer in a store."""
        return replace(self, store=store)

    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        rows, count = list(zip(*asked, strict=True)), len(asked.prompts)
        texts = [self._text(instruction, x, a, b) for x, a, b in rows]
        texts += [self._text(instruction, x, b, a) for x, a, b in rows]
        logits = self._logits(texts)
        l_ab, l_ba = logits[:count], logits[count:]
        raw = np.stack([_logistic(l_ab), _logistic(l_ba)], axis=-1)
        prob, bias = combine_orders(raw[:, 0], raw[:, 1])
        if self.combine == "logit":  # from the logits themselves: probabilities saturate
            prob = combine_logits(l_ab, l_ba)
        return Annotation(prob, ~np.isnan(prob), bias, raw)

    def _text(self, instruction: str | None, prompt: Any, first: Any, second: Any) -> str:
        said = _INSTRUCTION if instruction is None else instruction
        return self.template.format(instruction=said, prompt=prompt, first=first, second=second)

    def _logits(self, texts: Sequence[str]) -> Any:
        """Log-odds of the first label for each text, from the store or the client; NaN if none."""
        keys = [self._key(text) for text in texts]
        known = {} if self.store is None else self.store.get(set(keys))
        asked = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        wanted = list(asked)
        for i, answer in self._answers(list(asked.values())):
            if not np.isnan(self._logit(answer)):  # failures are not kept
                known[wanted[i]] = answer
                if self.store is not None:
                    self.store.put({wanted[i]: answer})
        return np.asarray([self._logit(known.get(key)) for key in keys], dtype=np.float64)

    def _key(self, text: str) -> str:
        model = str(getattr(self.client, "fingerprint", ""))
        labels = list(self.labels) if self._by_labels else None
        return key_of("text", model, labels, text)

    def _answers(self, texts: list[str]) -> Iterator[tuple[int, Any]]:
        """Yield place and answer, in whatever order they come: two numbers, or a text."""
        client, labels = self.client, list(self.labels)
        if not self._by_labels:
            each = getattr(client, "complete_each", None)
            yield from self._in_batches(texts, client.complete) if each is None else each(texts)
            return
        if hasattr(client, "score_each"):
            rows = client.score_each(texts, labels)
        else:
            rows = self._in_batches(texts, lambda part: client.score_labels(part, labels))
        for i, row in rows:
            found = [float(value) for value in row]
            if len(found) != len(labels):
                raise ValueError(
                    f"`client` must give {len(labels)} log-probabilities a text; got {len(found)}"
                )
            yield i, found

    def _logit(self, answer: Any) -> float:
        """Log-odds of the first label; NaN where the answer says nothing."""
        if not (answer is None or isinstance(answer, str | list)):
            raise TypeError(f"`client` must answer with texts; got {type(answer).__qualname__}")
        if isinstance(answer, str):
            place = self.parse(answer, self.labels)
            if place not in (None, 0, 1):
                raise ValueError(f"`parse` must return 0, 1 or None; got {place!r}")
            return float("nan") if place is None else float("inf") * (1 - 2 * place)
        return float("nan") if answer is None else _odds(*answer)

    def _in_batches(
        self, texts: list[str], ask: Callable[[list[str]], Any]
    ) -> Iterator[tuple[int, Any]]:
        size = self.batch_size or max(len(texts), 1)
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            answers = awaited(ask(part))
            if isinstance(answers, str) or not hasattr(answers, "__len__"):
                kind = type(answers).__qualname__
                raise TypeError(f"`client` must return an answer for each text; got {kind}")
            if len(answers) != len(part):
                raise ValueError(f"`client` must return {len(part)} answers; got {len(answers)}")
            yield from enumerate(answers, start)


def _odds(first: float, second: float) -> float:
    """Difference of two log-probabilities; NaN where both are -inf, or one is +inf."""
    known = max(first, second) < float("inf") and not np.isinf(first) & np.isinf(second)
    return first - second if known else float("nan")


def _check_template(template: str) -> None:
    """Raise ValueError unless a template has its fields, and no others."""
    try:
        found = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ValueError(f"`template` must double braces that are no fields; {error}") from None
    if not set(_FIELDS[1:]) <= found <= set(_FIELDS):
        raise ValueError(
            f"`template` must have the fields {', '.join(_FIELDS)} and no others; "
            f"got {', '.join(sorted(found)) or 'none'}"
        )


def _logistic(logit: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * logit)
