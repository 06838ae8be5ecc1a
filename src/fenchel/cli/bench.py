"""`fenchel bench`: ours against the installed peers, as JSON and as a table."""

from __future__ import annotations

import argparse
from typing import Any

from .libraries import require_extra, require_folder
from .parser import UsageError

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Measure the groups asked for; each is on disk as soon as it is measured."""
    require_folder("--output", options.output)
    require_extra("bench", "tqdm", "numba")
    from fenchel.reproduce.bench import group_names, run_group

    if options.name is not None and options.name not in group_names():
        known = ", ".join(group_names())
        raise UsageError(f"`NAME` must be one of {known}; got {options.name}")
    for name in group_names() if options.name is None else (options.name,):
        _print_table(run_group(name, options.output, quick=options.quick))
    return 0


def _print_table(result: dict[str, Any]) -> None:
    peers = sorted({peer for row in result["rows"] for peer in row["ratios"]})
    width = max((len(row["case"]) for row in result["rows"]), default=4)
    print(f"{result['title']} (peer's time over ours: above 1, ours is faster)")
    print(f"{'case':<{width}}  " + "  ".join(f"{peer:>14}" for peer in peers))
    for row in result["rows"]:
        cells = (f"{row['ratios'][p]:.2f}" if p in row["ratios"] else "" for p in peers)
        print(f"{row['case']:<{width}}  " + "  ".join(f"{cell:>14}" for cell in cells))
    print()
