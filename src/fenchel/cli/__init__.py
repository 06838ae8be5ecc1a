"""The command `fenchel`: `info`, `check`, `tour`, `reproduce`, `bench`.

Nothing heavy is imported before a command needs it: `fenchel --version` loads no array library.
Exit codes: 0 done, 1 a check or a claim fell short, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from .parser import UsageError, parse

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 done, 1 a check or a claim fell short, 2 wrong arguments, 130 interrupted.

    Examples
    --------
    >>> from fenchel.cli import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    fenchel ...
    0
    """
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        if options.command is None:
            return 0
        command = importlib.import_module(f"fenchel.cli.{options.command}")
        return int(command.run(options))
    except UsageError as error:
        print(f"fenchel: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fenchel: interrupted; what was finished is on disk", file=sys.stderr)
        return 130
