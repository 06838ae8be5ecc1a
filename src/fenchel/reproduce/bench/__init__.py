"""Speed against the peers that are installed, in ratios.

A group is a module of this folder with a `TITLE` and a function `cases(quick)`; the table below
names them. Ours and the peers are called in turn in one process, on data that is fresh at every
call: a small array replayed over and over flatters code with branches several times.
"""

from __future__ import annotations

from .case import Case, Contender, installed
from .harness import Row, measure
from .results import absent_peers, group_names, run_group

__all__ = [
    "Case",
    "Contender",
    "Row",
    "absent_peers",
    "group_names",
    "installed",
    "measure",
    "run_group",
]
