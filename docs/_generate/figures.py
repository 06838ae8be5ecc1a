"""Figures of the theme pages, drawn by the code of the experiments."""

from pathlib import Path

from fenchel.reproduce import Library, Run
from fenchel.reproduce.alignment import oaif, realignment
from fenchel.reproduce.alignment.language import Language
from fenchel.reproduce.diffusion import hexagon
from fenchel.reproduce.incontext import descent
from fenchel.reproduce.losses import curves
from fenchel.reproduce.routers import balance
from fenchel.reproduce.topk import figure1


def write(folder: Path) -> None:
    """Write every figure into `folder`."""
    library = Library.named("numpy")
    for name, paper in (("topk", figure1), ("losses", curves)):
        paper.draw(paper.curves(library)).savefig(folder / f"{name}.png", dpi=120)
    oaif.draw(Run(library, folder, quick=True)).savefig(folder / "oaif.png", dpi=120)
    run = Run(library, folder, quick=True)
    found = realignment.compare(run, Language.learnt(run), *realignment.QUICK)
    realignment.draw(found).savefig(folder / "dera.png", dpi=120)
    state, course = hexagon.optimised(run, 2000, rate=0.2)
    _, slow = hexagon.optimised(run, 2000, inner=100)
    hexagon.draw(run, state, course, slow).savefig(folder / "hexagon.png", dpi=120)
    descent.tour(Run(library, folder))  # incontext.png
    balance.draw_loads(run).savefig(folder / "loads.png", dpi=120)
