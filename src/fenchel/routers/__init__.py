"""Mixture-of-experts routing: which expert sees which token, with derivatives.

`route` decides, and returns a `Routing` in index form; its `dispatch` fills the buffers of the
experts and its `combine` puts their answers together. Leading axes are groups, which never
interact. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .route import route
    from .routing import Routing
    from .segments import Segments
    from .stats import RoutingStats

_HOME = {
    "route": ("route",),
    "routing": ("Routing",),
    "segments": ("Segments",),
    "stats": ("RoutingStats",),
}

__all__ = ["Routing", "RoutingStats", "Segments", "route"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
