"""The registry of public operators: one entry a variant, one file a topic."""

from __future__ import annotations

from ..operator import Registry
from . import (
    alignment,
    diffusion,
    incontext,
    isotonic,
    losses,
    moe,
    ordering,
    projections,
    regularizers,
    sets,
    simplex,
    topk,
    transport,
)

__all__ = ["operators"]

operators = Registry(
    (
        *simplex.ENTRIES,
        *topk.ENTRIES,
        *isotonic.ENTRIES,
        *ordering.ENTRIES,
        *projections.ENTRIES,
        *regularizers.ENTRIES,
        *losses.ENTRIES,
        *sets.ENTRIES,
        *transport.ENTRIES,
        *moe.ENTRIES,
        *alignment.ENTRIES,
        *diffusion.ENTRIES,
        *incontext.ENTRIES,
    )
)
"""Every public operator, with sample arguments; iterate over it or index it by name."""
