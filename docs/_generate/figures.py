"""Figures of the theme pages, drawn by the code of the experiments."""

from pathlib import Path

from fenchel.reproduce import Library
from fenchel.reproduce.topk import figure1


def write(folder: Path) -> None:
    """Write every figure into `folder`."""
    figure1.draw(figure1.curves(Library.named("numpy"))).savefig(folder / "topk.png", dpi=120)
