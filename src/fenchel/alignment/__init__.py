"""Alignment of language models: preference losses, online feedback (OAIF), realignment (DeRa).

Losses and statistics are functions of arrays of any library; annotators and the online loop ask for
nothing but a policy with `sample` and `logprob`. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .annotators import (
        Annotation,
        Annotator,
        CachedAnnotator,
        EnsembleAnnotator,
        LLMAnnotator,
        OpenAICompatibleClient,
        RuleAnnotator,
        ScoreAnnotator,
        combine_orders,
    )
    from .dera import realign_log_partition, realign_logits
    from .filters import filter_logits
    from .generate import CachedModel, Realigned, realign_sample
    from .kl import kl_estimate, kl_exact
    from .logprob import sequence_logprob, shift_labels
    from .online import GRUPolicy, Metrics, OnlineLoop, OnlineState, Policy, TabularPolicy
    from .pair_losses import (
        divergence_score,
        pair_loss,
        pair_loss_grad,
        pair_loss_names,
        register_pair_loss,
    )
    from .rloo import rloo_gradient
    from .strength_sweep import Sweep, sweep

_HOME = {
    "annotators": (
        "Annotation",
        "Annotator",
        "CachedAnnotator",
        "EnsembleAnnotator",
        "LLMAnnotator",
        "OpenAICompatibleClient",
        "RuleAnnotator",
        "ScoreAnnotator",
        "combine_orders",
    ),
    "dera": ("realign_log_partition", "realign_logits"),
    "filters": ("filter_logits",),
    "generate": ("CachedModel", "Realigned", "realign_sample"),
    "kl": ("kl_estimate", "kl_exact"),
    "logprob": ("sequence_logprob", "shift_labels"),
    "online": ("GRUPolicy", "Metrics", "OnlineLoop", "OnlineState", "Policy", "TabularPolicy"),
    "pair_losses": (
        "divergence_score",
        "pair_loss",
        "pair_loss_grad",
        "pair_loss_names",
        "register_pair_loss",
    ),
    "rloo": ("rloo_gradient",),
    "strength_sweep": ("Sweep", "sweep"),
}

__all__ = [
    "Annotation",
    "Annotator",
    "CachedAnnotator",
    "CachedModel",
    "EnsembleAnnotator",
    "GRUPolicy",
    "LLMAnnotator",
    "Metrics",
    "OnlineLoop",
    "OnlineState",
    "OpenAICompatibleClient",
    "Policy",
    "Realigned",
    "RuleAnnotator",
    "ScoreAnnotator",
    "Sweep",
    "TabularPolicy",
    "combine_orders",
    "divergence_score",
    "filter_logits",
    "kl_estimate",
    "kl_exact",
    "pair_loss",
    "pair_loss_grad",
    "pair_loss_names",
    "realign_log_partition",
    "realign_logits",
    "realign_sample",
    "register_pair_loss",
    "rloo_gradient",
    "sequence_logprob",
    "shift_labels",
    "sweep",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
