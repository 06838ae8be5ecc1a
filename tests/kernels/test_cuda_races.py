"""No two threads of a block touch the same memory without a barrier in between."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels.cuda_shim import source_files

DRIVER = Path(__file__).with_name("cuda_races.cpp")


def sanitizer_works(folder):
    """Whether this machine can build and run programs under ThreadSanitizer."""
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    build = ["g++", "-fsanitize=thread", "-o", str(folder / "probe"), str(probe)]
    if subprocess.run(build, capture_output=True, check=False).returncode:
        return False
    return subprocess.run(_fixed_layout(folder / "probe"), check=False).returncode == 0


def _fixed_layout(program):
    """Command that runs a program at fixed addresses, which old sanitizers insist on."""
    prefix = ["setarch", "-R"] if shutil.which("setarch") else []
    return [*prefix, str(program)]


def test_thread_sanitizer_finds_no_race(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    if not sanitizer_works(tmp_path):
        pytest.skip("ThreadSanitizer does not run on this machine")
    unit, program = tmp_path / "unit.cpp", tmp_path / "races"
    paths = [*source_files(), DRIVER]
    unit.write_text("".join(f'#include "{path}"\n' for path in paths))
    flags = ["-std=c++20", "-O0", "-pthread", "-fsanitize=thread"]
    flags += ["-DFENCHEL_SHIM", "-DFENCHEL_SHIM_THREADS"]
    subprocess.run(["g++", *flags, "-o", str(program), str(unit)], check=True)
    done = subprocess.run(
        _fixed_layout(program), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    assert done.stdout == "no races\n"
