"""Questions about what is installed, answered with one line where the answer is no."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .parser import UsageError

__all__ = ["find_device", "require_extra", "require_folder", "require_library"]


def require_library(name: str) -> None:
    """Raise UsageError unless the array library `name` is installed and known."""
    from fenchel.backend import backend_named

    try:
        backend_named(name)
    except ValueError as error:
        raise UsageError(str(error).replace("`name`", "`--backend`")) from None


def find_device(library: str, wanted: str) -> Any:
    """Return the device of an installed library that is called `wanted` ("cuda" is "cuda:0").

    Raises
    ------
    UsageError
        If the library has no such device here.
    """
    from fenchel.backend import backend_named

    info = backend_named(library).namespace.__array_namespace_info__()
    # The strict library writes Device('device1'), the others cpu or cuda:0.
    names = {str(device).split("'")[-2:][0]: device for device in info.devices() if device}
    for name, device in names.items():
        if wanted in (name, name.partition(":")[0]):
            return device
    raise UsageError(f"`--device` must be one of {', '.join(names)}; got {wanted!r}")


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
