"""The fast kernels against the array-API route that runs anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fenchel

from .case import Case, Contender, fresh_rows

__all__ = ["TITLE", "cases"]

TITLE = "Fast kernels against the reference route, NumPy, float64"
OPERATORS: dict[str, Callable[[Any], Any]] = {
    "topk_mask": lambda x: fenchel.topk_mask(x, x.shape[-1] // 20),
    "topk": lambda x: fenchel.topk(x, x.shape[-1] // 20),
    "sparsemax": lambda x: fenchel.sparsemax(x),
    "entmax": lambda x: fenchel.entmax(x),
    "isotonic_regression": lambda x: fenchel.isotonic_regression(x),
    "soft_rank": lambda x: fenchel.soft_rank(x),
}


def cases(quick: bool) -> Iterator[Case]:
    """Yield every operator with a kernel, on a batch of rows."""
    rows = fresh_rows(32, 100 if quick else 1000, "float64")
    for name, operator in OPERATORS.items():
        reference = Contender("reference", _without_kernels(operator), rows)
        yield Case(name, Contender("fenchel", operator, rows), (reference,))


def _without_kernels(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def reference(x: Any) -> Any:
        with fenchel.use_kernels(False):
            return f(x)

    return reference
