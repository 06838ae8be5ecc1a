"""Regularizers as objects: value, argmax, max and Bregman divergence of a convex function.

From them losses, routers and oracles are built. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .binary import BinaryGini, BinaryShannon
    from .entropic import Entropic
    from .f_divergence import FDivergence
    from .norm_entropy import NormEntropy
    from .pnorm import PNorm
    from .squared_norm import SquaredNorm
    from .tsallis import Gini, Shannon, Tsallis

_HOME = {
    "binary": ("BinaryGini", "BinaryShannon"),
    "entropic": ("Entropic",),
    "f_divergence": ("FDivergence",),
    "norm_entropy": ("NormEntropy",),
    "pnorm": ("PNorm",),
    "squared_norm": ("SquaredNorm",),
    "tsallis": ("Gini", "Shannon", "Tsallis"),
}
__all__ = [
    "BinaryGini",
    "BinaryShannon",
    "Entropic",
    "FDivergence",
    "Gini",
    "NormEntropy",
    "PNorm",
    "Shannon",
    "SquaredNorm",
    "Tsallis",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
