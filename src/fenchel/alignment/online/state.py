"""The state of a run, and how it is put on disk."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...trees import is_array, leaves, register_dataclass

__all__ = ["Batch", "OnlineState", "load", "save"]

Tree = Any
Array = Any

_FORMAT = "fenchel online loop 1"
# What other content may lead to while it is read: missing modules and names, and what pickle says.
_UNREADABLE = (EOFError, TypeError, ValueError, AttributeError, ImportError, IndexError, KeyError)


class Batch(NamedTuple):
    """Annotated pairs, in arrays of the library: what an update needs."""

    prompts: Any
    first: Any
    second: Any
    target: Array
    weight: Array
    ref_first: Array
    ref_second: Array
    len_first: Array
    len_second: Array


@register_dataclass(static=("seed",))
@dataclass(frozen=True)
class OnlineState:
    """State of `OnlineLoop`: a container of arrays that can be pickled, and resumed bit for bit.

    Parameters
    ----------
    params
        Parameters of the policy.
    reference
        Those of the frozen reference.
    optimizer
        State of the optimiser.
    step
        Steps done.
    memory
        The last annotated batches, for replay.
    seed
        Seed of all draws; those of a step depend on it and on the number of the step alone.

    Examples
    --------
    >>> OnlineState([1.0], [1.0], (), 0, (), 7).seed
    7
    """

    params: Tree
    reference: Tree
    optimizer: Any
    step: int
    memory: tuple[Batch, ...]
    seed: int


def save(path: Path, state: OnlineState, history: list[Any]) -> None:
    """Put a checkpoint in place of the last one; a kill at any moment leaves one of the two."""
    content = pickle.dumps((_FORMAT, state, history), protocol=pickle.HIGHEST_PROTOCOL)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.tmp")
    with open(fresh, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # the new file is whole before it gets the name
    os.replace(fresh, path)


def load(path: Path, like: OnlineState) -> tuple[OnlineState, list[Any]]:
    """Return what was saved.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of another run than `like`.
    """
    try:
        mark, state, history = pickle.loads(path.read_bytes())
    except (pickle.UnpicklingError, *_UNREADABLE) as error:
        raise ValueError(f"`checkpoint` must be a file of this loop; got {path}") from error
    if mark != _FORMAT:
        raise ValueError(f"`checkpoint` must be a file of this loop; got {path}")
    if state.seed != like.seed or _shapes(state) != _shapes(like) or state.step < like.step:
        raise ValueError(
            "`checkpoint` must belong to a run with the same seed and parameters that is at least "
            f"as far (step {like.step}, seed {like.seed}); {path} is at step {state.step} with "
            f"seed {state.seed}"
        )
    return state, history


def _shapes(state: OnlineState) -> list[Any]:
    found = leaves((state.params, state.reference, state.optimizer))
    return [(tuple(x.shape), str(x.dtype)) if is_array(x) else type(x) for x in found]
