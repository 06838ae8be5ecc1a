"""Every example of the documentation and of the README runs, and prints what the page says."""

import contextlib
import doctest
import importlib.util
import io
import json
import re
from pathlib import Path

import pytest

from fenchel.testing import operators

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def single_precision():
    """JAX as a reader finds it: the tests ask for double precision."""
    if importlib.util.find_spec("jax") is None:
        yield
        return
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", before)


def python_blocks(text):
    return FENCE.findall(text)


def needed(code):
    """Libraries that a page imports beyond what is always there."""
    names = set(re.findall(r"^(?:>>> )?(?:import|from) (\w+)", code, re.MULTILINE))
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def failures_of(blocks, name="page"):
    """Run the blocks in one namespace; return what the examples among them print wrongly."""
    namespace, report = {"__name__": name}, io.StringIO()
    runner = doctest.DocTestRunner()
    for number, block in enumerate(blocks):
        if ">>>" not in block:
            exec(compile(block, name, "exec"), namespace)
            continue
        test = doctest.DocTestParser().get_doctest(block, namespace, f"{name}[{number}]", name, 0)
        runner.run(test, out=report.write, clear_globs=False)
        namespace = test.globs
    return report.getvalue()


@pytest.mark.parametrize("page", PAGES)
def test_page(page):
    blocks = python_blocks((ROOT / "docs" / page).read_text(encoding="utf-8"))
    if missing := needed("\n".join(blocks)):
        pytest.skip(f"needs {', '.join(missing)}")
    assert failures_of(blocks, page) == ""


def test_a_wrong_page_fails():
    assert "Expected:" in failures_of([">>> 1 + 1\n3\n"])
    assert failures_of(["x = 1\n", ">>> x + 1\n2\n"]) == ""


def test_readme_example_prints_what_it_says():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = python_blocks(text)
    (wanted,) = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if missing := needed(code):
        pytest.skip(f"needs {', '.join(missing)}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == wanted


def test_readme_example_is_short():
    (code,) = python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(code.strip().splitlines()) <= 15


# The peer that the README names, and what the cases in question have in their names.
CLAIMS = {
    "mask": ("jaxopt", ""),
    "tape": ("autograd", ""),
    "isotonic": ("torchisotonic", "gradient"),
    "losses": ("entmax", "sparsemax, "),
    "routers": ("one-hot products", "gradient"),
}


@pytest.mark.parametrize("group", CLAIMS)
def test_readme_ratios_are_those_of_the_stored_results(group):
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    low, high = re.findall(rf"([\d.]+) to ([\d.]+) times[^`]*`fenchel bench {group}`", text)[0]
    result = json.loads((ROOT / "benchmarks" / "results" / f"{group}.json").read_text())
    peer, part = CLAIMS[group]
    rows = [row for row in result["rows"] if part in row["case"]]
    ratios = [row["ratios"][peer] for row in rows if peer in row["ratios"]]
    assert float(low) == pytest.approx(min(ratios), rel=0.03)
    assert float(high) == pytest.approx(max(ratios), rel=0.03)


def test_what_works_where_was_measured():
    stored = json.loads((ROOT / "benchmarks" / "support.json").read_text(encoding="utf-8"))
    names = {operator.name for operator in operators}
    for library in ("numpy", "array_api_strict", "torch", "jax"):
        assert set(stored["libraries"][library]) == names


def test_readme_count_of_operators():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (count,) = re.findall(r"more than (\d+) operators", text)
    assert len(operators) > int(count)


def test_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'python -m pip install ".[numba,tour]" && fenchel tour' in text
    command = "python -m pip install nox && nox -s tests"
    assert command in text
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
