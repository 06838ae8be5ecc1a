"""The portability report: every operator of a library and device against NumPy's float64."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .catalogue import operators
from .check import TOLERANCES, gap, probe_of, references, resolve, to_library, to_numpy
from .operator import Operator
from .report import Agreement, Report

__all__ = ["portability_report"]


def portability_report(
    backend: Any,
    device: Any = None,
    dtype: str = "float64",
    *,
    entries: Iterable[Operator] | None = None,
) -> Report:
    """Compare every operator of a library with the reference in NumPy's float64.

    Parameters
    ----------
    backend
        The library: its name, adapter or namespace.
    device
        Where the arrays are put; the library's default if absent.
    dtype
        "float64" or "float32". A library without float64 (JAX with x64 off) is checked in what it
        has, and the report says so.
    entries
        The operators; all registered ones if absent.

    Returns
    -------
    Report
        With one `Agreement` an operator.

    Raises
    ------
    ValueError
        If the library or dtype is unknown.

    Examples
    --------
    >>> from fenchel.testing import operators
    >>> portability_report("numpy", entries=[operators["softmax"]]).ok
    True
    """
    if dtype not in TOLERANCES:
        raise ValueError(f"`dtype` must be one of {', '.join(TOLERANCES)}; got {dtype!r}")
    found = resolve(backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library may warn that it has no float64
        actual = str(to_library(found, np.ones(1), dtype, device).dtype).rpartition(".")[2]
        chosen = operators if entries is None else entries
        results = tuple(_agreement(entry, found, device, actual) for entry in chosen)
    return Report(found.name, None if device is None else str(device), actual, results)


def _agreement(entry: Operator, backend: Any, device: Any, dtype: str) -> Agreement:
    first = references(entry, dtype)[0]
    probe = probe_of(entry, backend, device, dtype)
    try:
        value = to_numpy(backend, probe.f(*probe.primals))
        spent = min(_seconds(probe) for _ in range(3))
        error, slope_error = gap(value, first.value), None
        if entry.order > 0:
            _, pullback = backend.vjp(probe.f, *probe.primals)
            slopes = (to_numpy(backend, slope) for slope in pullback(probe.cotangent))
            slope_error = max(gap(a, b) for a, b in zip(slopes, first.vjp, strict=True))
    except Exception as reason:  # whatever an operator raises is the finding
        return Agreement(entry.name, None, None, 0.0, False, f"{type(reason).__name__}: {reason}")
    limits = [entry.tolerance * limit for limit in TOLERANCES[dtype]]
    ok = error <= limits[0] and (slope_error is None or slope_error <= limits[1])
    return Agreement(entry.name, error, slope_error, spent, ok)


def _seconds(probe: Any) -> float:
    """Time one call; reading the result back waits for devices that run ahead."""
    start = time.perf_counter()
    to_numpy(probe.backend, probe.f(*probe.primals))
    return time.perf_counter() - start
