"""One reference page a room, from what the room says is public."""

import importlib.util
import inspect
from pathlib import Path

ROOMS = (
    "autodiff convex operators regularizers losses smoothing stochastic structured families "
    "implicit ode optimize tuners oracles routers diffusion alignment incontext trees loops "
    "random special backend kernels testing reproduce"
).split()


def write(folder: Path) -> None:
    """Write `room`.rst for every room there is, and the index of them."""
    folder.mkdir(exist_ok=True)
    found = [room for room in ROOMS if importlib.util.find_spec(f"fenchel.{room}") is not None]
    for room in found:
        _write_if_new(folder / f"{room}.rst", page(f"fenchel.{room}"))
    listing = "\n".join(f"   {room}" for room in found)
    head = "Reference\n=========\n\nEvery public name, by room.\n\n"
    _write_if_new(folder / "index.rst", f"{head}.. toctree::\n   :maxdepth: 1\n\n{listing}\n")


def page(module: str) -> str:
    """Return the page of a module: what it is for, and a table of its public names."""
    room = importlib.import_module(module)
    names = [name for name in room.__all__ if _documented(getattr(room, name), module)]
    table = "\n".join(f"   {name}" for name in names)
    return (
        f"{module}\n{'=' * len(module)}\n\n{inspect.getdoc(room)}\n\n"
        f".. currentmodule:: {module}\n\n"
        f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{table}\n"
    )


def _documented(value, module: str) -> bool:
    """Whether a name is a function or class, and not one of another room.

    Instances and aliases speak through theirs.
    """
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return False
    home = ".".join(value.__module__.split(".")[:2])
    return home == module or home.removeprefix("fenchel.") not in ROOMS


def _write_if_new(path: Path, text: str) -> None:
    # An unchanged file keeps its date, so that the next build reads only what changed.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
