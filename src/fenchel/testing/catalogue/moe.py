"""Auxiliary losses of routers, and soft routing."""

from __future__ import annotations

from typing import Any

from ... import routers
from ...backend import namespace
from ..operator import Operator
from ..samples import distinct, mask, normal, sample

__all__ = ["ENTRIES"]

Array = Any
LOGITS = distinct(2, 5, 4)
ROOM = "fenchel.routers"


def soft_layer(x: Array, slots: Array, /, **options: Any) -> Array:
    """Apply experts of one function to softly routed tokens."""
    routing = routers.soft_route(x, slots, **options)
    return routers.moe(x, routing, namespace(x, slots).tanh)


ENTRIES = (
    Operator("importance_loss", f"{ROOM}:importance_loss", sample(LOGITS)),
    Operator("switch_loss(k=2)", f"{ROOM}:switch_loss", sample(LOGITS), options={"k": 2}),
    Operator(
        "z_loss(where=)", f"{ROOM}:z_loss", sample(LOGITS, mask(2, 5, keep=4)), keywords=("where",)
    ),
    Operator(
        "load_loss",
        f"{ROOM}:load_loss",
        sample(LOGITS, normal(2, 5, 4, scale=0.02)),
        keywords=("noise",),
        options={"k": 2, "scale": 0.5},
        differentiable=(0, 1),
    ),
    Operator("sparsity_loss(k=2)", f"{ROOM}:sparsity_loss", sample(LOGITS), options={"k": 2}),
    Operator(
        "soft_route",
        "fenchel.testing.catalogue.moe:soft_layer",
        sample(normal(4, 3), normal(3, 2, 2)),
        options={"logit_scale": 1.5},
        differentiable=(0, 1),
    ),
)
