"""What is compared: one computation, done by several contenders on the same numbers."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

__all__ = ["Case", "Contender", "fresh_rows", "installed"]

# Branch predictors learn a small array by heart; this many numbers they do not.
FRESH_NUMBERS = 300_000


@dataclass(frozen=True)
class Contender:
    """One implementation and its inputs, each in the form that it wants.

    Parameters
    ----------
    name
        Name in the table.
    call
        The computation; it returns only when the result is there.
    inputs
        Arguments, taken in turn.
    """

    name: str
    call: Callable[[Any], Any]
    inputs: Sequence[Any]


@dataclass(frozen=True)
class Case:
    """One row of a table: ours, and the peers.

    Parameters
    ----------
    name
        What is computed, and its size.
    ours
        The implementation of this library.
    peers
        What it is compared with.
    """

    name: str
    ours: Contender
    peers: tuple[Contender, ...]


def installed(module: str) -> Any | None:
    """Return a peer's module, None where it is not installed."""
    if find_spec(module.partition(".")[0]) is None:
        return None
    with warnings.catch_warnings():
        # A peer may announce on import that nobody maintains it; it is measured all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(module)


def fresh_rows(batch: int, n: int, dtype: str = "float32") -> list[Any]:
    """Return NumPy arrays of standard normal numbers, enough that no call sees old data soon."""
    import numpy as np

    count = max(4, -(-FRESH_NUMBERS // (batch * n)))
    rng = np.random.default_rng(0)
    return list(rng.standard_normal((count, batch, n)).astype(dtype))


def carried(library: Any, arrays: Iterable[Any]) -> list[Any]:
    """Return NumPy arrays as arrays of a library."""
    return [library.backend.from_host(x) for x in arrays]
