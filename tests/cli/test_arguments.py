"""Wrong arguments: exit code 2, one line on stderr, nothing on stdout."""

import subprocess
import sys

import pytest

from fenchel import __version__
from fenchel.cli import main

COMMANDS = ("info", "check", "tour", "reproduce", "bench")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["info", "extra"],
        ["info", "--nonsense"],
        ["check", "--backend"],
        ["check", "--backend", "no_such_library"],
        ["check", "--backend", "not a name"],
        ["check", "--backend", "json"],
        ["check", "--dtype", "int8"],
        ["check", "--device", "no_such_device"],
        ["tour", "--backend", "no_such_library"],
        ["reproduce", "no_such_paper"],
        ["reproduce", "topk", "--all"],
        ["reproduce", "topk", "--data", "/no/such/folder"],
        ["bench", "no_such_group"],
        ["tour", "--output", __file__],
        ["bench", "overhead", "--output", __file__],
    ],
    ids=lambda argv: " ".join(argv[:3]).replace(__file__, "file") or "nothing",
)
def test_wrong_arguments_are_one_line(argv, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fenchel: ")
    assert err.count("\n") == 1 and err.endswith("\n")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fenchel {__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_goes_to_stdout(argv, capsys):
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: fenchel") and err == ""


def test_help_names_every_command(capsys):
    main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_python_m_fenchel_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "fenchel", "nonsense"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1


def test_interrupt_is_one_line(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fenchel.cli.info.run", interrupted)
    assert main(["info"]) == 130
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1


def test_papers_are_listed_in_columns(capsys):
    assert main(["reproduce"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    width = max(map(len, names)) + 2
    assert all(line[width - 1] == " " != line[width] for line in lines)
