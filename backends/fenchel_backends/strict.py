"""Adapter for array-api-strict, the library that allows what the standard allows and no more."""

from __future__ import annotations

import array_api_strict

from .generic import GenericBackend

__all__ = ["BACKEND"]

BACKEND = GenericBackend(name="array_api_strict", namespace=array_api_strict)
