"""Online feedback: a policy learns from annotations of its own responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .gru import GRUPolicy
    from .loop import OnlineLoop
    from .metrics import Metrics
    from .policy import Policy
    from .state import OnlineState
    from .tabular import TabularPolicy

_HOME = {
    "gru": ("GRUPolicy",),
    "loop": ("OnlineLoop",),
    "metrics": ("Metrics",),
    "policy": ("Policy",),
    "state": ("OnlineState",),
    "tabular": ("TabularPolicy",),
}

__all__ = [
    "GRUPolicy",
    "Metrics",
    "OnlineLoop",
    "OnlineState",
    "Policy",
    "TabularPolicy",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
