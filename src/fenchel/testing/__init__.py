"""Tests that anyone can run: properties, transformations, conformance and portability."""

from __future__ import annotations

from .catalogue import operators
from .check import Outcome, check_operator
from .operator import Operator, Registry

__all__ = ["Operator", "Outcome", "Registry", "check_operator", "operators"]
