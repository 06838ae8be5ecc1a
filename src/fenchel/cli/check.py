"""`fenchel check`: every operator of a library against the NumPy float64 reference."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .libraries import require_library

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the portability report; 1 if an operator falls short."""
    require_library(options.backend)
    from fenchel.testing import portability_report

    report = portability_report(options.backend, options.device, options.dtype)
    rows = [_row(result) for result in report]
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows)
    return 0 if all(row["ok"] for row in rows) else 1


def _row(result: Any) -> dict[str, Any]:
    return {
        key: getattr(result, key) for key in ("name", "error", "derivative_error", "time", "ok")
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    width = max((len(row["name"]) for row in rows), default=4)
    print(f"{'name':<{width}}  {'error':>8}  {'d. error':>8}  {'time':>8}")
    for row in rows:
        numbers = "  ".join(f"{_short(row[key]):>8}" for key in ("error", "derivative_error"))
        mark = "" if row["ok"] else "  FALLS SHORT"
        print(f"{row['name']:<{width}}  {numbers}  {1e3 * row['time']:>6.2f}ms{mark}")
    short = sum(not row["ok"] for row in rows)
    print(f"{len(rows) - short} of {len(rows)} operators agree with the reference")


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.1e}"
