"""What the wheel is made of, and what its metadata promise."""

import re
import tomllib
from pathlib import Path

import pytest

import fenchel

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_version_is_the_one_of_the_package():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/fenchel/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", fenchel.__version__)


def test_changelog_has_the_version():
    assert f"\n## {fenchel.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "package", PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
)
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
    assert (ROOT / package / "__init__.py").exists()


def test_runtime_needs_three_libraries():
    names = {re.split(r"[<>=]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "array-api-compat", "optree"}


def test_every_requirement_has_a_lower_bound():
    extras = PROJECT["project"]["optional-dependencies"]
    entries = PROJECT["project"]["dependencies"] + [e for extra in extras.values() for e in extra]
    assert [e for e in entries if ">=" not in e and not e.startswith("fenchel[")] == []


def test_everything_of_the_source_tree_is_shipped():
    """What git ignores is left out of wheels: no source may be ignored."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    kernels = ROOT / "backends" / "fenchel_backends" / "kernels"
    suffixes = {path.suffix for path in kernels.rglob("*") if path.is_file()}
    assert suffixes >= {".py", ".cu"}
    assert not any(f"*{suffix}" in ignored for suffix in suffixes & {".py", ".cu", ".cuh", ".h"})


def test_no_index_and_no_host_in_what_installs():
    for name in ("pyproject.toml", "noxfile.py", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|https?://", text), name


def test_ci_is_executable():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
