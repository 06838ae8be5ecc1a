"""Losses of scores against targets: Fenchel-Young, Fitzpatrick, and the named ones.

Every loss is called as ``loss(scores, target, /, *, axis=-1, where=None, weight=None,
ignore_index=None, label_smoothing=0.0, reduction="mean", target_term=True)`` and has `link`,
`value_and_grad`, `conjugate`, `dual_set` and `conjugate_prox`. Targets are class indices or dense
rows. Every name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builders import fenchel_young_from_argmax, fenchel_young_from_max
    from .crossentropy import cross_entropy
    from .fenchel_young import FenchelYoung
    from .fitzpatrick import Fitzpatrick
    from .linear import linear_loss
    from .named import (
        absolute,
        binary_logistic,
        binary_sparse,
        cube,
        entmax_loss,
        f_divergence_loss,
        fitzpatrick_binary_logistic,
        fitzpatrick_entmax,
        fitzpatrick_logistic,
        fitzpatrick_sparsemax,
        fitzpatrick_squared,
        hinge,
        huber,
        logistic,
        perceptron,
        sparsemax_loss,
        squared,
        squared_hinge,
    )

_HOME = {
    "builders": ("fenchel_young_from_argmax", "fenchel_young_from_max"),
    "crossentropy": ("cross_entropy",),
    "fenchel_young": ("FenchelYoung",),
    "fitzpatrick": ("Fitzpatrick",),
    "linear": ("linear_loss",),
    "named": (
        "absolute",
        "binary_logistic",
        "binary_sparse",
        "cube",
        "entmax_loss",
        "f_divergence_loss",
        "fitzpatrick_binary_logistic",
        "fitzpatrick_entmax",
        "fitzpatrick_logistic",
        "fitzpatrick_sparsemax",
        "fitzpatrick_squared",
        "hinge",
        "huber",
        "logistic",
        "perceptron",
        "sparsemax_loss",
        "squared",
        "squared_hinge",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "FenchelYoung",
    "Fitzpatrick",
    "absolute",
    "binary_logistic",
    "binary_sparse",
    "cross_entropy",
    "cube",
    "entmax_loss",
    "f_divergence_loss",
    "fenchel_young_from_argmax",
    "fenchel_young_from_max",
    "fitzpatrick_binary_logistic",
    "fitzpatrick_entmax",
    "fitzpatrick_logistic",
    "fitzpatrick_sparsemax",
    "fitzpatrick_squared",
    "hinge",
    "huber",
    "linear_loss",
    "logistic",
    "perceptron",
    "sparsemax_loss",
    "squared",
    "squared_hinge",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
