"""Annotators: which of two responses is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .cache import CachedAnnotator
    from .client import OpenAICompatibleClient
    from .ensemble import EnsembleAnnotator
    from .llm import LLMAnnotator
    from .protocol import Annotation, Annotator, combine_orders
    from .rule import RuleAnnotator
    from .score import ScoreAnnotator

_HOME = {
    "cache": ("CachedAnnotator",),
    "client": ("OpenAICompatibleClient",),
    "ensemble": ("EnsembleAnnotator",),
    "llm": ("LLMAnnotator",),
    "protocol": ("Annotation", "Annotator", "combine_orders"),
    "rule": ("RuleAnnotator",),
    "score": ("ScoreAnnotator",),
}

__all__ = [
    "Annotation",
    "Annotator",
    "CachedAnnotator",
    "EnsembleAnnotator",
    "LLMAnnotator",
    "OpenAICompatibleClient",
    "RuleAnnotator",
    "ScoreAnnotator",
    "combine_orders",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
