"""Loops of solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Backend

__all__ = ["iterate", "rounding"]


def iterate(
    backend: Backend, going: Callable[[Any], Any], step: Callable[[Any], Any], state: Any, like: Any
) -> Any:
    """Apply `step` while `going` holds: one compiled loop where `like` is traced, else Python's.

    Eagerly a compiled loop would be compiled anew at every call, for it closes over the network.
    """
    if backend.is_traced(like):
        return backend.while_loop(going, step, state)
    while bool(going(state)):
        state = step(state)
    return state


def rounding(backend: Backend, like: Any) -> float:
    """Return the ratio of squared residuals at which nothing but rounding is left."""
    # In float32 a residual driven on to underflow ends in 0/0 once samples are fitted.
    double = float(backend.namespace.finfo(like.dtype).eps) < 1e-10
    return 1e-28 if double else 1e-10
