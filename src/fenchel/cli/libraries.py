"""Questions about what is installed, answered with one line where the answer is no."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .parser import UsageError

__all__ = ["require_extra", "require_folder", "require_library"]


def require_library(name: str) -> None:
    """Raise UsageError unless the array library `name` is installed and known."""
    from fenchel.backend import backend_named

    try:
        backend_named(name)
    except ValueError as error:
        raise UsageError(str(error).replace("`name`", "`--backend`")) from None


def require_extra(extra: str, *modules: str) -> None:
    """Raise UsageError unless the modules that an extra brings are installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed; run: python -m pip install 'fenchel[{extra}]'"
        )


def require_folder(option: str, path: Path) -> None:
    """Raise UsageError if `path` stands already and is no folder."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"`{option}` must be a folder; got {path}")
