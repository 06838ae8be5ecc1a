"""Losses of scores against targets: Fenchel-Young, Fitzpatrick, and the named ones.

Every loss is called as ``loss(scores, target, /, *, axis=-1, where=None, weight=None,
ignore_index=None, label_smoothing=0.0, reduction="mean", target_term=True)`` and has `link`,
`value_and_grad`, `conjugate`, `dual_set` and `conjugate_prox`. Targets are class indices or dense
rows. Every name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOME)
