"""`import fenchel` is instant: it loads no array library and next to nothing else."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "array_api_compat", "optree", "scipy", "torch", "jax", "cupy", "numba", "sklearn")


def python(code: str) -> str:
    """Run `code` in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement", ["import fenchel", "import fenchel.cli", "dir(__import__('fenchel'))"]
)
def test_import_loads_no_array_library(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert python(code) == "[]"


def test_import_costs_less_than_60_ms():
    code = (
        "import time; start = time.process_time(); import fenchel;"
        "print(1e3 * (time.process_time() - start))"
    )
    # Of the processor's time, and once is enough: a busy machine can only make a run slower.
    assert any(float(python(code)) < 60 for _ in range(20))
