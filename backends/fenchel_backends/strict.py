"""Adapter for array-api-strict, the library that allows what the standard allows and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict
import optree

from .generic import GenericBackend

__all__ = ["BACKEND"]


class StrictBackend(GenericBackend):
    """The generic adapter, with results of host code put on the device of its arguments."""

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Any) -> Any:
        """Run NumPy code on host copies of `arrays`, and carry the result back."""
        result = super().host_call(f, result_like, *arrays)
        if not arrays:
            return result
        return optree.tree_map(lambda leaf: leaf.to_device(arrays[0].device), result)


BACKEND = StrictBackend(name="array_api_strict", namespace=array_api_strict)
