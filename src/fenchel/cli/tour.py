"""`fenchel tour`: each of the systems works once, on real data."""

from __future__ import annotations

import argparse

from .libraries import require_extra, require_folder, require_library

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Run every stop of the tour; 1 if a claim falls short."""
    require_library(options.backend)
    require_folder("--output", options.output)
    require_extra("tour", "sklearn", "scipy", "matplotlib", "tqdm")
    from fenchel.reproduce import Library, Run, paper_names, tour

    held = tour(paper_names(), Run(Library.named(options.backend), options.output))
    return 0 if held else 1
