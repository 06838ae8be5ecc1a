"""Mixture-of-experts routing: which expert sees which token, with derivatives.

`route` decides, and returns a `Routing` in index form; its `dispatch` fills the buffers of the
experts and its `combine` puts their answers together. Leading axes are groups, which never
interact. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .auxiliary import importance_loss, z_loss
    from .balance import gshard_loss, sequence_balance_loss, switch_loss
    from .capacity import expert_capacity
    from .controllers import BiasBalance, SparsityControl
    from .cosine import cosine_logits
    from .load import load_loss
    from .methods import route
    from .mixture import moe
    from .routing import Routing
    from .segments import Segments
    from .soft import SoftRouting, soft_route
    from .sparsity import sparsity_loss
    from .stats import RoutingStats

_HOME = {
    "auxiliary": ("importance_loss", "z_loss"),
    "balance": ("gshard_loss", "sequence_balance_loss", "switch_loss"),
    "capacity": ("expert_capacity",),
    "controllers": ("BiasBalance", "SparsityControl"),
    "cosine": ("cosine_logits",),
    "load": ("load_loss",),
    "methods": ("route",),
    "mixture": ("moe",),
    "routing": ("Routing",),
    "segments": ("Segments",),
    "soft": ("SoftRouting", "soft_route"),
    "sparsity": ("sparsity_loss",),
    "stats": ("RoutingStats",),
}

__all__ = [
    "BiasBalance",
    "Routing",
    "RoutingStats",
    "Segments",
    "SoftRouting",
    "SparsityControl",
    "cosine_logits",
    "expert_capacity",
    "gshard_loss",
    "importance_loss",
    "load_loss",
    "moe",
    "route",
    "sequence_balance_loss",
    "soft_route",
    "sparsity_loss",
    "switch_loss",
    "z_loss",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
