"""Which prompts a step sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import check_integer
from ...backend import backend_of
from ...random import RandomStream, integers
from ...trees import is_array, leaves, map

__all__ = ["PromptSource", "prompt_source", "row_count"]

Prompts = Any
PromptSource = Callable[[int, RandomStream], Prompts]


def prompt_source(prompts: Any, batch_size: int | None) -> PromptSource:
    """Return a function of the step and a stream that gives the prompts of the step.

    Raises
    ------
    ValueError
        If there are no prompts, or the size of a batch is below 1.
    """
    if callable(prompts):
        return lambda step, stream: prompts(step)
    count = row_count(prompts)
    if count == 0:
        raise ValueError("`prompts` must have at least one row; got none")
    if batch_size is None:
        return lambda step, stream: prompts
    size = check_integer("batch_size", batch_size, minimum=1)

    def draw(step: int, stream: RandomStream) -> Prompts:
        rows = integers(stream, 0, count, (size,), like=np.zeros(1))
        return _rows(prompts, rows)

    return draw


def row_count(prompts: Prompts) -> int:
    """Return the number of prompts in a batch."""
    arrays = [leaf for leaf in leaves(prompts) if is_array(leaf)]
    return int(arrays[0].shape[0]) if arrays else len(prompts)


def _rows(prompts: Prompts, rows: Any) -> Prompts:
    if not any(is_array(leaf) for leaf in leaves(prompts)):
        return [prompts[int(i)] for i in rows]

    def pick(leaf: Any) -> Any:
        backend = backend_of(leaf)
        index = backend.namespace.asarray(rows, device=backend.device_of(leaf))
        return backend.namespace.take(leaf, index, axis=0)

    return map(pick, prompts)
