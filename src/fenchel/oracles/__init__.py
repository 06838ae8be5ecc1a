"""Direction oracles: Gauss-Newton and prox-linear steps, solved in the dual, for any convex loss.

An oracle has ``direction(params, inputs, targets, weights=None) -> (direction, info)`` and is the
same on every library, eagerly and under jit. Every name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._info import OracleInfo
    from ._linearization import check_linearization
    from .gauss_newton import GaussNewton

_HOME = {
    "_info": ("OracleInfo",),
    "_linearization": ("check_linearization",),
    "gauss_newton": ("GaussNewton",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["GaussNewton", "OracleInfo", "check_linearization"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
