"""Functions that decide by values, where a compiler of Python code traces what calls them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from .backend import backend_of
from .trees import is_array, leaves

__all__ = ["uncompiled"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def uncompiled(function: _Function) -> _Function:
    """Decorate a function that is run as it is inside code that `torch.compile` traces.

    Solvers take as many steps as values tell: traced, they would break into dozens of pieces. A
    compiler of arrays alone, as `jax.jit`, takes them as they are.

    Examples
    --------
    >>> uncompiled(max)(1.0, 2.0)
    2.0
    """

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        first = next((x for x in leaves(arguments) if is_array(x)), None)
        outside = None if first is None else getattr(backend_of(first), "uncompiled", None)
        if outside is None:
            return function(*arguments, **options)
        return outside(function, *arguments, **options)

    return cast(_Function, run)
