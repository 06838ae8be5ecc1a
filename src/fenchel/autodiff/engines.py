"""Which engine takes a derivative: the library's own, the tape, or a numerical one."""

from __future__ import annotations

from typing import Any, Literal

from ..arrays import check_choice
from ..backend import Backend
from .flat import FlatEngine

__all__ = ["Method", "engine_of", "flat_engine_of"]

Method = Literal["native", "tape", "complex", "finite"]


def flat_engine_of(method: Method | None, backend: Backend) -> FlatEngine:
    """Return the engine of a method, for use on containers; see `engine_of`."""
    return FlatEngine(engine_of(method, backend), backend)


def engine_of(method: Method | None, backend: Backend) -> Any:
    """Return an object with `value_and_grad`, `vjp`, `jvp`, `linearize` and `vmap`.

    `None` is the library's own derivative where it has one, the tape elsewhere.

    Raises
    ------
    ValueError
        If the method is unknown, or "native" for a library without derivatives.
    """
    if method is None:
        return backend
    check_choice("method", method, ("native", "tape", "complex", "finite"))
    if method == "native":
        if not backend.native_autodiff:
            raise ValueError(
                "`method`='native' needs a library with derivatives of its own; "
                f"got arrays of {backend.name}"
            )
        return backend
    if method == "tape":
        from . import tape

        return tape
    from .sweeps import NumericalEngine

    return NumericalEngine(method, backend)
