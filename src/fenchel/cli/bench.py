"""`fenchel bench`: ours against the installed peers, as JSON and as a table."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .libraries import require_extra, require_folder
from .parser import UsageError

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Measure the groups asked for; each is on disk as soon as it is measured."""
    require_folder("--output", options.output)
    require_extra("bench", "tqdm", "numba")
    from fenchel.reproduce.bench import absent_peers, group_names, run_group

    if options.name is not None and options.name not in group_names():
        known = ", ".join(group_names())
        raise UsageError(f"`NAME` must be one of {known}; got {options.name}")
    if absent := absent_peers():
        print(f"not installed, so not compared with: {', '.join(absent)}", file=sys.stderr)
    for name in group_names() if options.name is None else (options.name,):
        _print_table(run_group(name, options.output, quick=options.quick))
    return 0


def _print_table(result: dict[str, Any]) -> None:
    peers = sorted({peer for row in result["rows"] for peer in row["ratios"]})
    width = max((len(row["case"]) for row in result["rows"]), default=4)
    print(f"{result['title']} (peer's time over ours: above 1, ours is faster)")
    print(f"{'case':<{width}}  " + "  ".join(f"{peer:>8}" for peer in peers))
    for row in result["rows"]:
        ratios = ((peer, row["ratios"].get(peer)) for peer in peers)
        cells = (f"{'' if r is None else f'{r:.2f}':>{max(8, len(peer))}}" for peer, r in ratios)
        print(f"{row['case']:<{width}}  " + "  ".join(cells))
    print()
