"""The support table: operator by library by transformation, measured while the docs are built."""

from pathlib import Path


def write(folder: Path) -> None:
    """Write `support.md` into `folder`."""
    (folder / "support.md").write_text(table())


def table() -> str:
    """Return the table as Markdown; filled in from the registry of `fenchel.testing`."""
    return ""
