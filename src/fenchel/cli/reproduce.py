"""`fenchel reproduce`: the claims of a paper, with verdicts."""

from __future__ import annotations

import argparse

from .libraries import require_extra, require_folder, require_library
from .parser import UsageError

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Check the claims of the papers asked for; 1 if one falls short."""
    names = _chosen(options)
    if not names:
        _print_list()
        return 0
    require_library(options.backend)
    if options.data is not None and not options.data.is_dir():
        raise UsageError(f"`--data` must be a folder; got {options.data}")
    require_folder("--output", options.output)
    require_extra("tour", "sklearn", "scipy", "matplotlib", "tqdm")
    from fenchel.reproduce import Library, Run, reproduce

    library = Library.named(options.backend)
    held = reproduce(names, Run(library, options.output, options.quick, options.data))
    return 0 if held else 1


def _chosen(options: argparse.Namespace) -> tuple[str, ...]:
    from fenchel.reproduce import paper_names

    if options.all and options.name is not None:
        raise UsageError(f"give a paper or `--all`, not both; got {options.name} and --all")
    if options.name is not None and options.name not in paper_names():
        known = ", ".join(paper_names())
        raise UsageError(f"`NAME` must be one of {known}; got {options.name}")
    if options.all:
        return paper_names()
    return () if options.name is None else (options.name,)


def _print_list() -> None:
    from fenchel.reproduce import paper, paper_names

    width = max(map(len, paper_names()))
    for name in paper_names():
        entry = paper(name)
        print(f"{name:<{width}}  {entry.title} ({entry.reference})")
