"""Run papers one by one; what is finished is on disk before the next one starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .paper import Claim, Run
from .registry import paper

__all__ = ["reproduce", "tour"]


def reproduce(names: Iterable[str], run: Run) -> bool:
    """Check the claims of papers and print a verdict for each.

    Each paper gets a folder of `run.output` with its figures and `claims.json`, which is written
    anew after every claim: an interrupted run keeps what it has measured.

    Parameters
    ----------
    names
        Names of registered papers.
    run
        Library, output folder, data, and whether to be quick.

    Returns
    -------
    bool
        Whether every claim holds.
    """
    every = True
    for name in names:
        entry = paper(name)
        print(f"{entry.title} ({entry.reference}), on {run.library.name}", flush=True)
        own = replace(run, output=run.output / name)
        measured: list[Claim] = []
        for claim in entry.claims(own):
            measured.append(claim)
            _write(own.output / "claims.json", run.library.name, measured)
            print(f"  {claim}", flush=True)
        every &= all(claim.holds for claim in measured)
    return every


def tour(names: Iterable[str], run: Run) -> bool:
    """Show the main claim of each paper with its number and figure.

    Parameters
    ----------
    names
        Names of registered papers.
    run
        Library and output folder.

    Returns
    -------
    bool
        Whether every claim holds.
    """
    measured: list[Claim] = []
    for name in names:
        entry, start = paper(name), time.perf_counter()
        print(f"{entry.title} ({entry.reference})", flush=True)
        measured.append(entry.tour(run))
        _write(run.output / "tour.json", run.library.name, measured)
        print(f"  {measured[-1]}  [{time.perf_counter() - start:.0f} s]\n", flush=True)
    held = sum(claim.holds for claim in measured)
    print(f"{held} of {len(measured)} claims hold on {run.library.name}; figures in {run.output}/")
    return held == len(measured)


def _write(path: Path, library: str, measured: list[Claim]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"library": library, "claims": [claim.record() for claim in measured]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
