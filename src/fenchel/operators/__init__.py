"""Relaxed discrete operators: argmax, top-k, sorting and ranking as differentiable functions."""

from __future__ import annotations

from .entmax import entmax, sparsemax
from .f_argmax import f_argmax
from .normmax import normmax
from .soft_quantile import soft_quantile
from .soft_rank import soft_rank
from .soft_sort import soft_sort
from .softmax import softmax
from .spearman import spearman_loss
from .topk import topk
from .topk_loss import topk_loss
from .topk_mask import topk_mask
from .topk_temperature import topk_temperature

__all__ = [
    "entmax",
    "f_argmax",
    "normmax",
    "soft_quantile",
    "soft_rank",
    "soft_sort",
    "softmax",
    "sparsemax",
    "spearman_loss",
    "topk",
    "topk_loss",
    "topk_mask",
    "topk_temperature",
]
