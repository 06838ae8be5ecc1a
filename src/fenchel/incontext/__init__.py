"""In-context autoregressive learning: contexts, linear attention, exact losses, estimators, probes.

A sequence :math:`s_{t+1} = W s_t` has its own W; a model that predicts the next token must learn W
from the context. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .attention import (
        causal_linear_attention,
        causal_softmax_attention,
        positional_weights,
    )
    from .contexts import Context, ContextSampler, companion
    from .estimators import ARLeastSquares, ARState
    from .layers import (
        AugmentedBlock,
        DiagonalMultiHead,
        LinearAttentionLayer,
        LinearTransformer,
    )
    from .optima import (
        minimum_loss,
        optimal_augmented,
        optimal_diagonal_heads,
        positional_quadratic,
    )
    from .population import (
        augmented_population_gradient,
        augmented_population_loss,
        population_gradient,
        population_loss,
    )
    from .probes import head_gram, implied_matrix, positional_profile, probe
    from .sequences import simulate_ar
    from .tokens import augment_tokens

_HOME = {
    "attention": ("causal_linear_attention", "causal_softmax_attention", "positional_weights"),
    "contexts": ("Context", "ContextSampler", "companion"),
    "estimators": ("ARLeastSquares", "ARState"),
    "layers": ("AugmentedBlock", "DiagonalMultiHead", "LinearAttentionLayer", "LinearTransformer"),
    "optima": (
        "minimum_loss",
        "optimal_augmented",
        "optimal_diagonal_heads",
        "positional_quadratic",
    ),
    "population": (
        "augmented_population_gradient",
        "augmented_population_loss",
        "population_gradient",
        "population_loss",
    ),
    "probes": ("head_gram", "implied_matrix", "positional_profile", "probe"),
    "sequences": ("simulate_ar",),
    "tokens": ("augment_tokens",),
}

__all__ = [
    "ARLeastSquares",
    "ARState",
    "AugmentedBlock",
    "Context",
    "ContextSampler",
    "DiagonalMultiHead",
    "LinearAttentionLayer",
    "LinearTransformer",
    "augment_tokens",
    "augmented_population_gradient",
    "augmented_population_loss",
    "causal_linear_attention",
    "causal_softmax_attention",
    "companion",
    "head_gram",
    "implied_matrix",
    "minimum_loss",
    "optimal_augmented",
    "optimal_diagonal_heads",
    "population_gradient",
    "population_loss",
    "positional_profile",
    "positional_quadratic",
    "positional_weights",
    "probe",
    "simulate_ar",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
