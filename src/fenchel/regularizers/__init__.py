"""Regularizers as objects: value, argmax, max and Bregman divergence of a convex function.

From them losses, routers and oracles are built. Every name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

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


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
