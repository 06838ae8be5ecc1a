"""Causal attention: linear (parallel, recurrent, chunked; positional weights), and softmax."""

from .causal import causal_linear_attention
from .softmax import causal_softmax_attention, positional_weights

__all__ = ["causal_linear_attention", "causal_softmax_attention", "positional_weights"]
