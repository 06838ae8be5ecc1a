"""An annotator that remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...arrays import check_integer
from .protocol import Annotation, Annotator, Asked, OfColumns, check_annotation, check_annotator
from .store import AnswerStore, key_of, plain

__all__ = ["CachedAnnotator"]


class CachedAnnotator(OfColumns):
    """Ask an annotator what is not known yet, and keep its answers in a file.

    An answer is in the file before it is used: a run that is killed at any moment and started again
    asks no stored question a second time. The key is the instruction, the prompt and the two
    responses in either order; a pair seen the other way round is answered by 1 minus the
    probability. Failures are not kept, so they are asked again.

    Parameters
    ----------
    annotator
        Whom to ask. One with `with_store(store)`, as `LLMAnnotator` and `EnsembleAnnotator`, keeps
        each single answer as it comes, also the half of a pair; another one is asked `chunk` pairs
        at a time.
    path
        File of sqlite, or an `AnswerStore`. It may be shared by several annotators and processes.
    name
        Keeps annotators that share a file apart.
    chunk
        How many pairs are asked, and kept, at once; at most that many answers are in flight when a
        run is killed.
    durable
        Whether an answer survives a loss of power too, at the cost of one disk flush each.

    Raises
    ------
    TypeError
        If `annotator` has no `annotate`; raised by `annotate` if a prompt or response is neither
        text nor numbers.
    ValueError
        If the file is something else, or `chunk` is below 1.

    Examples
    --------
    >>> from fenchel.alignment import RuleAnnotator
    >>> longer = RuleAnnotator(lambda prompt, a, b: float(len(a) > len(b)))
    >>> cached = CachedAnnotator(longer, ":memory:")
    >>> cached.annotate(["", ""], ["ab", "a"], ["a", "ab"]).prob_first, cached.asked
    (array([1., 0.]), 1)
    """

    def __init__(
        self,
        annotator: Annotator,
        path: str | Path | AnswerStore,
        *,
        name: str = "",
        chunk: int = 1,
        durable: bool = True,
    ) -> None:
        check_annotator("annotator", annotator)
        chunk = check_integer("chunk", chunk, minimum=1)
        self.store = path if isinstance(path, AnswerStore) else AnswerStore(path, durable=durable)
        self.asked = self.found = 0
        self.name = name
        hook = getattr(annotator, "with_store", None)
        self.annotator: Annotator = annotator if hook is None else hook(self.store)
        self._chunk = chunk if hook is None else None

    def _answer(self, asked: Asked, instruction: str | None) -> Annotation:
        pairs = [_canonical(self.name, instruction, *row) for row in zip(*asked, strict=True)]
        known = self.store.get({key for key, _ in pairs})
        places: dict[str, int] = {}
        for i, (key, _) in enumerate(pairs):
            if key not in known:
                places.setdefault(key, i)  # a pair that comes twice is asked once
        missing = list(places.values())
        self.found += len(pairs) - len(missing)
        for part, answer in self._ask(missing, asked, instruction):
            rows = {pairs[i][0]: _row(answer, j, pairs[i][1]) for j, i in enumerate(part)}
            self.store.put({key: row for key, row in rows.items() if row is not None})
            known.update({key: row for key, row in rows.items() if row is not None})
        return _assemble([(known.get(key), exchanged) for key, exchanged in pairs])

    def _ask(
        self, missing: list[int], asked: Asked, instruction: str | None
    ) -> Iterator[tuple[list[int], Annotation]]:
        """Yield which pairs were asked, and what came back."""
        size = self._chunk or max(len(missing), 1)
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            self.asked += len(part)
            prompts, first, second = ([column[i] for i in part] for column in asked)
            answer = self.annotator.annotate(prompts, first, second, instruction)
            yield part, check_annotation(answer, len(part))

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def __enter__(self) -> CachedAnnotator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"CachedAnnotator({self.annotator!r}, {self.store.path!r}, name={self.name!r})"


def _canonical(name: str, instruction: str | None, prompt: Any, a: Any, b: Any) -> tuple[str, bool]:
    """Return the key of a pair in either order, and whether its responses were exchanged."""
    first, second = key_of(plain(a)), key_of(plain(b))
    exchanged = second < first
    low, high = (second, first) if exchanged else (first, second)
    return key_of("pair", name, instruction, plain(prompt), low, high), exchanged


def _row(answer: Annotation, j: int, exchanged: bool) -> list[Any] | None:
    """What is kept of an answer: as it was asked, and whether the order was exchanged."""
    if not bool(answer.valid[j]):
        return None
    prob, bias = float(answer.prob_first[j]), float(answer.position_bias[j])
    return [exchanged, prob, bias, *(float(value) for value in answer.raw[j])]


def _assemble(rows: Sequence[tuple[list[Any] | None, bool]]) -> Annotation:
    count = len(rows)
    prob, bias, raw = np.full(count, np.nan), np.full(count, np.nan), np.full((count, 2), np.nan)
    for i, (row, exchanged) in enumerate(rows):
        if row is None:
            continue
        same = row[0] == exchanged
        prob[i] = row[1] if same else 1.0 - row[1]
        bias[i] = row[2]
        raw[i] = row[3:] if same else row[:2:-1]
    return Annotation(prob, ~np.isnan(prob), bias, raw)
