"""Tests that anyone can run: properties, transformations, conformance and portability."""

from __future__ import annotations

from . import strategies
from .catalogue import operators
from .check import Outcome, check_operator
from .conformance import conformance
from .enumerated import EnumeratedLanguage, EnumeratedPolicy
from .operator import Operator, Registry
from .portability import portability_report
from .report import Agreement, Check, Report
from .support import support_table
from .transformation import Probe, Transformation

__all__ = [
    "Agreement",
    "Check",
    "EnumeratedLanguage",
    "EnumeratedPolicy",
    "Operator",
    "Outcome",
    "Probe",
    "Registry",
    "Report",
    "Transformation",
    "check_operator",
    "conformance",
    "operators",
    "portability_report",
    "strategies",
    "support_table",
]
