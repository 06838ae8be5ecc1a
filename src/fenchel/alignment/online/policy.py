"""What the loop asks of a policy, and what the annotator is shown of its responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...backend import backend_of
from ...trees import is_array, leaves

__all__ = ["Policy", "items_of", "same_item", "shown_lengths"]

Tree = Any
Array = Any


@runtime_checkable
class Policy(Protocol):
    """Anything that draws responses and knows their log-probabilities.

    It may also have `decode(prompts, responses)`, which returns two lists of what the annotator is
    shown, `lengths(responses)`, the number of tokens of each response, and
    `compare(params, reference, prompts, responses)`, which returns the log-probabilities under both
    and the divergence KL(policy, reference) of each prompt, or of the next tokens summed along each
    response.

    Examples
    --------
    >>> from fenchel.alignment import TabularPolicy
    >>> isinstance(TabularPolicy(), Policy)
    True
    """

    def sample(self, params: Tree, prompts: Any, rng: Any, temperature: float) -> Any:
        """Draw one response to each prompt: an array, or any container with a row a prompt.

        `rng` is a `fenchel.random.RandomStream`, which every function of `fenchel.random` takes;
        the same stream gives the same draws.
        """
        ...

    def logprob(self, params: Tree, prompts: Any, responses: Any) -> Array:
        """Return log-probabilities, an array with an entry a prompt, differentiable in `params`."""
        ...


def items_of(batch: Any) -> list[Any]:
    """Return the rows of a batch as Python objects, NumPy rows, or tuples of them."""
    if isinstance(batch, list | tuple) and not any(is_array(leaf) for leaf in leaves(batch)):
        return list(batch)
    columns = [_host(leaf) for leaf in leaves(batch)]
    rows = [column.tolist() if column.ndim == 1 else list(column) for column in columns]
    return rows[0] if len(rows) == 1 else list(zip(*rows, strict=True))


def _host(leaf: Any) -> Any:
    return np.asarray(backend_of(leaf).to_host(leaf)) if is_array(leaf) else np.asarray(leaf)


def same_item(a: Any, b: Any) -> bool:
    """Whether the annotator would be shown the same response twice."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same_item, a, b))
    if is_array(a) or is_array(b):
        return np.array_equal(a, b)
    return bool(a == b)


def shown_lengths(items: Sequence[Any]) -> Any:
    """Return the lengths of responses as they are shown; 1 for what has none."""
    return np.asarray([len(item) if hasattr(item, "__len__") else 1 for item in items], dtype=float)
