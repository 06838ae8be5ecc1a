"""`fenchel check`: every operator of a library against the NumPy float64 reference."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from .libraries import find_device, require_library

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the portability report; 1 if an operator falls short."""
    require_library(options.backend)
    device = None if options.device is None else find_device(options.backend, options.device)
    from fenchel.testing import operators, portability_report

    entries = _progress(operators)
    report = portability_report(options.backend, device, options.dtype, entries=entries)
    if options.json:
        print(json.dumps([_row(result) for result in report], indent=1))
    else:
        _print_table(list(report))
    return 0 if all(result.ok for result in report) else 1


def _progress(entries: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar on stderr where tqdm is installed."""
    if find_spec("tqdm") is None:
        return entries
    from tqdm import tqdm

    return tqdm(entries, desc="check", leave=False, dynamic_ncols=True)  # type: ignore[no-any-return]


def _row(result: Any) -> dict[str, Any]:
    return {
        key: getattr(result, key) for key in ("name", "error", "derivative_error", "time", "ok")
    }


def _print_table(results: list[Any]) -> None:
    width = max((len(result.name) for result in results), default=4)
    print(f"{'name':<{width}}  {'error':>8}  {'d. error':>8}  {'time':>8}")
    for result in results:
        numbers = f"{_short(result.error):>8}  {_short(result.derivative_error):>8}"
        mark = "" if result.ok else f"  FALLS SHORT {result.message}"
        print(f"{result.name:<{width}}  {numbers}  {1e3 * result.time:>6.2f}ms{mark}".rstrip())
    agree = sum(result.ok for result in results)
    print(f"{agree} of {len(results)} operators agree with the reference")


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.1e}"
