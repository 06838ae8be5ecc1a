"""Alignment of language models: preference losses, online feedback (OAIF), realignment (DeRa).

Losses and statistics are functions of arrays of any library; annotators and the online loop ask for
nothing but a policy with `sample` and `logprob`. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .pair_losses import (
        divergence_score,
        pair_loss,
        pair_loss_grad,
        pair_loss_names,
        register_pair_loss,
    )

_HOME = {
    "pair_losses": (
        "divergence_score",
        "pair_loss",
        "pair_loss_grad",
        "pair_loss_names",
        "register_pair_loss",
    ),
}

__all__ = [
    "divergence_score",
    "pair_loss",
    "pair_loss_grad",
    "pair_loss_names",
    "register_pair_loss",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
