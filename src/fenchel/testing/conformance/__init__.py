"""Does an adapter do what the contract says? One check a member, with values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..check import resolve
from ..report import Check, Report
from . import arrays, control, derivatives, kernels
from .tools import Tools

__all__ = ["conformance"]


def conformance(backend: Any) -> Report:
    """Check every member of the adapter contract on one library.

    For authors of adapters: run it in the test-suite, and look at `failures`.

    Parameters
    ----------
    backend
        The adapter, the namespace of its library, or its name.

    Returns
    -------
    Report
        With one `Check` a member or aspect of it; no exception of the adapter escapes.

    Examples
    --------
    >>> conformance("numpy").failures
    ()
    """
    tools = Tools(resolve(backend))
    results = []
    for topic in (arrays, derivatives, control, kernels):
        results += [_checked(name, check, tools) for name, check in topic.CHECKS.items()]
    return Report(tools.backend.name, None, "float64", tuple(results))


def _checked(name: str, check: Callable[[Tools], None], tools: Tools) -> Check:
    try:
        check(tools)
    except Exception as reason:  # whatever the adapter raises is the finding
        return Check(name, False, f"{type(reason).__name__}: {reason}")
    return Check(name, True)
