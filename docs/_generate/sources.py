"""What the figures are drawn by: they are drawn again where it has changed."""

import hashlib
from pathlib import Path

import fenchel

ROOTS = (Path(fenchel.__file__).parent, Path(__file__).parent)


def digest() -> str:
    """Return one number for all sources of the library and of the figures."""
    found = hashlib.sha256()
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()
