"""Which papers can be reproduced: a table of names, each loaded when it is asked for."""

from __future__ import annotations

import importlib

from .paper import Paper

__all__ = ["paper", "paper_names", "register"]

# In the order of the tour. A string is the module that holds the paper as `PAPER`.
_PAPERS: dict[str, str | Paper] = {
    "topk": "fenchel.reproduce.topk",
    "cdat": "fenchel.reproduce.tuners",
    "gauss_newton": "fenchel.reproduce.oracles",
    "routers": "fenchel.reproduce.routers",
    "fitzpatrick": "fenchel.reproduce.losses.fitzpatrick",
    "f_divergences": "fenchel.reproduce.losses.f_divergences",
    "projections": "fenchel.reproduce.losses.projections",
    "diffusion": "fenchel.reproduce.diffusion",
    "oaif": "fenchel.reproduce.alignment.oaif",
    "dera": "fenchel.reproduce.alignment.dera",
    "incontext": "fenchel.reproduce.incontext",
}


def paper_names() -> tuple[str, ...]:
    """Return the names of the registered papers, in the order of the tour.

    Examples
    --------
    >>> "topk" in paper_names()
    True
    """
    return tuple(_PAPERS)


def paper(name: str) -> Paper:
    """Return a registered paper.

    Raises
    ------
    KeyError
        If no paper has that name.

    Examples
    --------
    >>> paper("topk").reference
    'ICML 2023, arXiv 2302.01425'
    """
    entry = _PAPERS[name]
    return importlib.import_module(entry).PAPER if isinstance(entry, str) else entry


def register(entry: Paper) -> None:
    """Add a paper to the end of the tour, or replace the one of that name.

    Examples
    --------
    >>> register(paper("topk"))
    """
    _PAPERS[entry.name] = entry
