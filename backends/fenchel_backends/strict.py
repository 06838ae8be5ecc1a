"""Adapter for array-api-strict, the library that allows what the standard allows and no more."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np

from .generic import GenericBackend

__all__ = ["BACKEND", "StrictBackend"]


class StrictBackend(GenericBackend):
    """The standard to the letter, on every device it simulates."""

    def to_host(self, x: Any) -> Any:
        """Return a NumPy copy of `x`, from any simulated device."""
        return np.from_dlpack(x).copy()


BACKEND = StrictBackend(name="array_api_strict", namespace=array_api_strict)
