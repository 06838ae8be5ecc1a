"""What the checks of an adapter share: building arrays, reading them back, comparing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Tools", "require"]


def require(condition: bool, message: str) -> None:
    """Raise AssertionError unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


@dataclass(frozen=True)
class Tools:
    """An adapter, and how to build, read and compare its arrays."""

    backend: Any

    @property
    def xp(self) -> Any:
        """The namespace."""
        return self.backend.namespace

    def array(self, values: Any) -> Any:
        """Return numbers as an array of the library: floats as float64, or what it has."""
        return self.backend.from_host(np.asarray(values))

    def like(self, x: Any) -> Any:
        """Return a host array back from one of the library."""
        return np.asarray(self.backend.to_host(x))

    def same(self, found: Any, wanted: Any, what: str) -> None:
        """Raise unless an array of the library has the wanted shape and values."""
        have, want = self.like(found), np.asarray(wanted)
        require(have.shape == want.shape, f"{what} has shape {have.shape}, not {want.shape}")
        # A library whose widest type is float32 (JAX with x64 off) is held to that.
        tolerance = 1e-5 if have.dtype == np.float32 else 1e-12
        close = np.allclose(have, want, rtol=tolerance, atol=tolerance, equal_nan=True)
        require(bool(close), f"{what} is {have.tolist()}, not {want.tolist()}")
