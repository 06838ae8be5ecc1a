"""The table of benchmarks, from the results stored in `benchmarks/results`."""

import json
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def write(folder: Path) -> None:
    """Write `benchmarks.md` into `folder`."""
    parts = [table(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]
    (folder / "benchmarks.md").write_text("\n\n".join(parts) or "No results are stored yet.\n")


def table(result: dict) -> str:
    """Return one group of cases as a Markdown table of ratios: above 1, ours is faster."""
    peers = sorted({peer for row in result["rows"] for peer in row["ratios"]})
    lines = [
        f"## {result['name']}\n\n{result['title']}\n",
        f"| case | {' | '.join(peers)} |",
        f"|---|{'---|' * len(peers)}",
    ]
    for row in result["rows"]:
        cells = [ratio(row["ratios"][p]) if p in row["ratios"] else "" for p in peers]
        lines.append(f"| {row['case']} | {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join([*lines, f"\n{result['machine']}; {versions}.\n"])


def ratio(value: float) -> str:
    """Return a number with two digits that count: 0.18, 4.9, 438."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
