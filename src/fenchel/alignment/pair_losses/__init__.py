"""Losses of preference pairs, as functions of the two log-ratios to the reference."""

from .call import pair_loss, pair_loss_grad
from .divergences import divergence_score
from .registry import pair_loss_names, register_pair_loss

__all__ = [
    "divergence_score",
    "pair_loss",
    "pair_loss_grad",
    "pair_loss_names",
    "register_pair_loss",
]
