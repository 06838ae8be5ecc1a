"""The options of a router, checked."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer, check_number
from ..backend import Array

__all__ = ["Options", "check_options"]

WEIGHTS = ("softmax", "renormalized", "plan", "sigmoid")


class Options(NamedTuple):
    """What `route` was asked for, apart from the logits."""

    k: int
    capacity: int | None
    priority: str
    weights: str | None
    temperature: Any
    max_iter: int
    solver: str
    gradient: str
    bias: Array | None
    n_group: int | None
    topk_group: int | None
    weight_scale: float


def check_options(options: Options) -> Options:
    """Return the options, what does not depend on the method checked."""
    k = check_integer("k", options.k, minimum=0)
    capacity = options.capacity
    if capacity is not None:
        capacity = check_integer("capacity", capacity, minimum=0)
    check_choice("priority", options.priority, ("choice", "token"))
    check_choice("gradient", options.gradient, ("none", "implicit", "unrolled"))
    check_choice("solver", options.solver, ("adam", "lbfgs"))
    if options.weights is not None:
        check_choice("weights", options.weights, WEIGHTS)
    if options.weights == "renormalized" and k == 1:
        raise ValueError(
            '`weights="renormalized"` needs k of at least 2: with k=1 the weight is the constant 1 '
            "and the router gets no gradient; got k=1"
        )
    scale = check_number("weight_scale", options.weight_scale)
    if isinstance(options.temperature, Real):
        check_number("temperature", options.temperature, minimum=0.0)
    return options._replace(
        k=k,
        capacity=capacity,
        max_iter=check_integer("max_iter", options.max_iter, minimum=1),
        weight_scale=scale,
    )
