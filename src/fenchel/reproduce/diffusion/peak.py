"""The peak of memory of a call, as Linux sees it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["compiled_extra", "peak_extra"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_extra(call: Callable[[], Any]) -> float | None:
    """Return by how many MiB the process grew while `call` ran; None where that is not told."""
    if not _RESET.exists():
        return None
    gc.collect()
    _give_back()
    _RESET.write_text("5", encoding="ascii")  # the peak begins anew from here
    before = _kibibytes("VmRSS")
    call()
    return max(_kibibytes("VmHWM") - before, 0) / 1024.0


def compiled_extra(f: Any, *arguments: Any) -> float:
    """Return the MiB of intermediate values that a function compiled by XLA allocates."""
    analysis = f.lower(*arguments).compile().memory_analysis()
    return float(analysis.temp_size_in_bytes) / 2**20


def _give_back() -> None:
    """Return freed memory to the system, so that its use again is seen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _kibibytes(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(f"{_STATUS} must tell {name}; it does not")
