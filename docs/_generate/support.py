"""The support table: operator by library by transformation, from `benchmarks/support.json`.

That file is made by `python docs/_generate/support.py [LIBRARY ...]`, which measures the operators
that it has not: a quarter of an hour for all, most of it spent by JAX on compiling. Delete the file
to measure anew. The test suite runs the same rows, and more, for every operator.
"""

import json
import os
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fenchel.backend import backend_named
from fenchel.testing import check_operator, operators
from fenchel.testing.check import compared, probe_of
from fenchel.testing.rows import transformations

STORE = Path(__file__).parents[2] / "benchmarks" / "support.json"
LIBRARIES = {"NumPy": "numpy", "strict": "array_api_strict", "PyTorch": "torch", "JAX": "jax"}

# One transformation for each thing a reader asks; the test suite runs all of them.
COLUMNS = {
    "value": "value",
    "gradient": "vjp",
    "forward mode": "jvp",
    "second order": "hvp",
    "batched": "values",
}
MARKS = {"ok": "✓", "refused": "refused", "none": ""}


def write(folder: Path) -> None:
    """Write `support.md` into `folder`."""
    (folder / "support.md").write_text(table(json.loads(STORE.read_text(encoding="utf-8"))))


def table(measured: dict) -> str:
    """Return a Markdown table: a row an operator, a column a library, the failures by name."""
    libraries = [title for title, name in LIBRARIES.items() if name in measured["libraries"]]
    lines = [
        f"| operator | {' | '.join(libraries)} | notes |",
        "|---|" + "---|" * (len(libraries) + 1),
    ]
    for entry in operators:
        cells = [cell(measured["libraries"][LIBRARIES[title]], entry.name) for title in libraries]
        lines.append(f"| `{entry.name}` | {' | '.join(cells)} | {entry.notes} |")
    versions = ", ".join(f"{name} {number}" for name, number in measured["versions"].items())
    columns = ", ".join(COLUMNS)
    return "\n".join([*lines, f"\n✓: {columns} all agree; blank: not measured. {versions}.\n"])


def cell(library: dict, operator: str) -> str:
    """Return ✓, or what of the columns falls short or is refused; "" where nothing is measured."""
    if operator not in library:
        return ""
    short = [
        f"{column}: {MARKS.get(status, '✗')}"
        for column, status in library[operator].items()
        if status not in ("ok", "none")
    ]
    return "; ".join(short) or "✓"


def measure(entry, library: str) -> dict:
    """Return the status of each column for an operator."""
    rows = rows_of(library)
    status = at_once(entry, backend_named(library), rows) if library == "jax" else {}
    if set(status.values()) != {"ok"}:
        outcomes = check_operator(entry, library, only=set(rows.values()), compiled=False)
        status = {outcome.transformation: outcome.status for outcome in outcomes}
    return {column: status[row] for column, row in rows.items() if row in status}


def rows_of(library: str) -> dict:
    """Return the name of the library's first transformation for each column."""
    first: dict[str, str] = {}
    for name, row in transformations(backend_named(library)).items():
        if row.dtype is None and not row.compiles:
            first.setdefault(row.quantity, name)
    return {column: first[key] for column, key in COLUMNS.items() if key in first}


def at_once(entry, backend, rows: dict) -> dict:
    """Return the status of all rows from one compiled call, {} if it cannot be compiled.

    Eager JAX compiles every operation of every row by itself, which takes twice as long.
    """
    if entry.order < 2:  # some rows do not apply
        return {}
    known = transformations(backend)
    chosen = {name: known[name] for name in rows.values()}
    probe = probe_of(entry, backend, None, "float64")

    def run(primals, batch):
        moved = replace(probe, primals=primals, batch=batch)
        return {name: row.run(moved) for name, row in chosen.items()}

    try:
        found = backend.jit(run)(probe.primals, probe.batch)
    except Exception:  # the rows one by one say which of them it is
        return {}
    labels = (entry.name, backend.name)
    return {
        name: compared((*labels, name), entry, probe, row, "float64", found[name]).status
        for name, row in chosen.items()
    }


def main(names: list) -> None:
    """Measure what is not stored yet, for all libraries that are installed by default."""
    os.environ.setdefault("JAX_ENABLE_X64", "1")  # read when JAX is imported
    chosen = names or [name for name in LIBRARIES.values() if find_spec(name) is not None]
    packages = ("numpy", "array-api-strict", "torch", "jax")
    stored = {"versions": {package: version(package) for package in packages}, "libraries": {}}
    if STORE.exists():
        stored["libraries"] = json.loads(STORE.read_text(encoding="utf-8"))["libraries"]
    for name in chosen:
        found = stored["libraries"].setdefault(name, {})
        for entry in operators:
            if entry.name not in found:
                found[entry.name] = measure(entry, name)
                STORE.write_text(f"{json.dumps(stored, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
