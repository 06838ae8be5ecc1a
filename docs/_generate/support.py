"""The support table: operator by library by transformation, measured while the docs are built."""

from importlib.util import find_spec
from pathlib import Path

from fenchel.backend import backend_named
from fenchel.testing import check_operator, operators
from fenchel.testing.rows import transformations

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
    (folder / "support.md").write_text(table())


def table() -> str:
    """Return a Markdown table: a row an operator, a column a library, the failures by name."""
    libraries = [title for title, name in LIBRARIES.items() if find_spec(name) is not None]
    lines = [
        f"| operator | {' | '.join(libraries)} | notes |",
        "|---|" + "---|" * (len(libraries) + 1),
    ]
    chosen = {title: rows_of(LIBRARIES[title]) for title in libraries}
    for entry in operators:
        cells = [cell(entry, LIBRARIES[title], chosen[title]) for title in libraries]
        lines.append(f"| `{entry.name}` | {' | '.join(cells)} | {entry.notes} |")
    columns = ", ".join(COLUMNS)
    return "\n".join([*lines, f"\n✓: {columns} all agree with the reference.\n"])


def rows_of(library: str) -> dict[str, str]:
    """Return the name of the library's first transformation for each column."""
    first: dict[str, str] = {}
    for name, row in transformations(backend_named(library)).items():
        if row.dtype is None and not row.compiles:
            first.setdefault(row.quantity, name)
    return {column: first[key] for column, key in COLUMNS.items() if key in first}


def cell(entry, library: str, rows: dict[str, str]) -> str:
    """Return ✓, or what of the columns falls short or is refused."""
    outcomes = check_operator(entry, library, only=set(rows.values()), compiled=False)
    status = {outcome.transformation: outcome.status for outcome in outcomes}
    short = [
        f"{column}: {MARKS.get(status[name], '✗')}"
        for column, name in rows.items()
        if status.get(name, "none") not in ("ok", "none")
    ]
    return "; ".join(short) or "✓"
