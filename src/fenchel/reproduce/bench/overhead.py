"""What a public call costs over its kernel: rows of eight numbers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from fenchel.convex import isotonic_regression
from fenchel.operators import entmax, sparsemax, topk, topk_mask
from fenchel.reproduce.library import Library

from .case import Case, Contender, carried, fresh_rows

__all__ = ["TITLE", "cases"]

TITLE = "A public call on eight numbers, against the kernel alone and against tanh"


def cases(quick: bool) -> Iterator[Case]:
    """Yield the operators that have fused rules, on each library that is installed."""
    for name in ("numpy", "torch", "jax"):
        if find_spec(name) is not None:
            yield from _cases_of(Library.named(name))


def _cases_of(library: Library) -> Iterator[Case]:
    rows = carried(library, (x[0] for x in fresh_rows(1, 8)[:4096]))
    xp = library.namespace
    tanh = Contender("tanh", _ready(library, xp.tanh), rows)
    operators = {
        "topk_mask": lambda x: topk_mask(x, 2, temperature=0.5),
        "topk": lambda x: topk(x, 2, temperature=0.5),
        "sparsemax": sparsemax,
        "entmax": entmax,
        "isotonic_regression": isotonic_regression,
    }
    for name, operator in operators.items():
        ours = Contender("fenchel", _ready(library, operator), rows)
        peers = [tanh]
        if name == "topk_mask":
            peers += _kernel_alone(library, rows)
        yield Case(f"{name}, {library.name}", ours, tuple(peers))


def _kernel_alone(library: Library, rows: list[Any]) -> list[Contender]:
    backend = library.backend
    kernel = backend.kernel("mask_threshold", rows[0].dtype, backend.device_of(rows[0]))
    if kernel is None:
        return []
    return [Contender("kernel alone", _ready(library, lambda x: kernel(x, 2, 0.5, 2.0)), rows)]


def _ready(library: Library, f: Any) -> Any:
    """Compile where that is how the library is used, and wait for the result."""
    if library.name != "jax":
        return f
    compiled = library.backend.jit(f)
    return lambda x: compiled(x).block_until_ready()
