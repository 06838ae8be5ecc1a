"""Arguments of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

__all__ = ["UsageError", "parse"]


class UsageError(Exception):
    """The arguments cannot be obeyed; the message is one line for the user."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{' '.join(message.split())} (see `{self.prog} --help`)")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command; `command` is None where all was said already.

    Raises
    ------
    UsageError
        If the arguments are wrong.
    """
    parser = _Parser(prog="fenchel", description="Differentiable building blocks, on any library.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_info(commands)
    _add_check(commands)
    _add_tour(commands)
    _add_reproduce(commands)
    _add_bench(commands)
    try:
        options = parser.parse_args(argv)
    except SystemExit:  # --help has printed the help
        return argparse.Namespace(command=None)
    if options.version:
        from fenchel import __version__

        print(f"fenchel {__version__}")
        return argparse.Namespace(command=None)
    if options.command is None:
        parser.error("a command is required: info, check, tour, reproduce or bench")
    return options


# The type that argparse gives to a group of sub-commands has no public name.
_Commands = argparse._SubParsersAction


def _add_info(commands: _Commands[_Parser]) -> None:
    commands.add_parser("info", help="libraries, versions, devices and kernels found here")


def _add_check(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "check", help="every operator against the NumPy float64 reference; exit code 1 on a failure"
    )
    _add_backend(parser)
    parser.add_argument("--device", help="for example cpu or cuda; the library's default if absent")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--json", action="store_true", help="print a list of results instead")


def _add_tour(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("tour", help="each of the systems works once, on real data")
    _add_backend(parser)
    _add_output(parser, "fenchel-tour")


def _add_reproduce(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("reproduce", help="the claims of a paper, with verdicts")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a paper (without: the list)")
    parser.add_argument("--all", action="store_true", help="every paper")
    _add_backend(parser)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with further data sets")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and steps")
    _add_output(parser, "fenchel-reproduce")


def _add_bench(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("bench", help="ours against the installed peers")
    parser.add_argument("name", nargs="?", metavar="NAME", help="one group of cases (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes")
    _add_output(parser, "fenchel-bench")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="numpy", help="array library (default: numpy)")


def _add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(folder),
        metavar="DIR",
        help=f"where results are written (default: {folder})",
    )
