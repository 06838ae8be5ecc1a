"""Checks of a loop and of parameters, before anything is drawn or paid for."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from ...arrays import check_choice, check_dtype, check_integer, check_number
from ...parameters import check_array
from ...trees import backend_of_tree, is_array, leaves
from ..pair_losses import pair_loss, pair_loss_names
from .labels import LABELS, TIES
from .update import BASELINE

__all__ = ["check_options", "check_params"]

Tree = Any


def check_options(loop: Any) -> None:
    """Raise unless the parts and options of a loop are what they must be."""
    _check_parts(loop.policy, loop.annotator, loop.optimizer)
    check_choice("loss", loop.loss, (*pair_loss_names(), BASELINE))
    check_number("beta", loop.beta, above=0.0)
    check_number("temperature", loop.temperature, minimum=0.0)
    check_choice("labels", loop.labels, LABELS)
    check_choice("ties", loop.ties, TIES)
    check_number("tie_margin", loop.tie_margin, minimum=0.0, maximum=0.5 - 2.0**-53)
    check_number("learning_rate", loop.learning_rate)
    for name in ("reuse", "replay"):
        check_integer(name, getattr(loop, name), minimum=1)
    if loop.instruction is not None and not isinstance(loop.instruction, str):
        kind = type(loop.instruction).__qualname__
        raise TypeError(f"`instruction` must be a text; got {kind}")
    if loop.decode is not None and not callable(loop.decode):
        raise TypeError(f"`decode` must be callable; got {type(loop.decode).__qualname__}")
    if loop.loss != BASELINE:
        _try_loss(loop.loss, loop.beta, loop.label_smoothing, loop.loss_options)


def check_params(params: Tree, **others: Tree) -> None:
    """Raise unless all hold floating arrays of one library, of the same shapes."""
    arrays = [x for x in leaves(params) if is_array(x)]
    if not arrays:
        raise TypeError(f"`params` must hold arrays; got {type(params).__qualname__} without any")
    for x in arrays:
        check_dtype("params", x)
    wanted = [tuple(x.shape) for x in arrays]
    for name, tree in others.items():
        theirs = [x for x in leaves(tree) if is_array(x)]
        for x in theirs:
            check_array(name, x, backend_of_tree(params))
        shapes = [tuple(x.shape) for x in theirs]
        if shapes != wanted:
            raise ValueError(f"`{name}` must have the shapes {wanted} of `params`; got {shapes}")


def _check_parts(policy: Any, annotator: Any, optimizer: Any) -> None:
    """Raise TypeError unless each part has its methods."""
    for name, part, methods in (
        ("policy", policy, ("sample", "logprob")),
        ("annotator", annotator, ("annotate",)),
        ("optimizer", optimizer, () if isinstance(optimizer, Real) else ("init", "update")),
    ):
        missing = [method for method in methods if not callable(getattr(part, method, None))]
        if missing:
            raise TypeError(
                f"`{name}` must have {' and '.join(methods)}; "
                f"{type(part).__qualname__} lacks {', '.join(missing)}"
            )


def _try_loss(loss: str, beta: float, label_smoothing: float, options: Mapping[str, Any]) -> None:
    """Evaluate a loss once, so that a wrong option is found before the first annotation is paid."""
    if any(hasattr(value, "shape") for value in options.values()):
        return  # of a library and a batch that are not known yet
    one = np.ones(1)
    pair_loss(
        loss, one, one, beta=beta, label_smoothing=label_smoothing,
        len_chosen=one, len_rejected=one, **options,
    )  # fmt: skip
