"""The support table as data: operator by library by transformation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .catalogue import operators
from .check import check_operator
from .operator import Operator

__all__ = ["support_table"]


def support_table(
    libraries: Iterable[Any] = ("numpy",),
    *,
    entries: Iterable[Operator] | None = None,
    compiled: bool = False,
) -> list[dict[str, Any]]:
    """Run the transformation matrix, and return what came out.

    Parameters
    ----------
    libraries
        Names, adapters or namespaces.
    entries
        The operators; all registered ones if absent.
    compiled
        Whether to run transformations that call a slow compiler.

    Returns
    -------
    list of dict
        One a cell, ready for JSON: `operator`, `library`, `transformation`, `status` ("ok",
        "error", "wrong", "refused" or "none"), `error` and `message`.

    Examples
    --------
    >>> from fenchel.testing import operators
    >>> cells = support_table(["numpy"], entries=[operators["softmax"]])
    >>> sorted({cell["status"] for cell in cells})
    ['none', 'ok']
    """
    chosen = tuple(operators if entries is None else entries)
    return [
        outcome.as_dict()
        for library in libraries
        for entry in chosen
        for outcome in check_operator(entry, library, compiled=compiled)
    ]
