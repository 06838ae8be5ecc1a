"""Three solvers of one problem: threshold, pooling adjacent violators, Dykstra."""

from __future__ import annotations

from collections.abc import Iterator

from fenchel.operators import topk_mask

from ..bench import Case, Contender, Row, measure
from ..bench.case import carried, fresh_rows
from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

SIZES = (100, 300, 1000, 3000)
BATCH = 8


def claims(run: Run) -> Iterator[Claim]:
    """Yield how much faster one threshold is than the two isotonic solvers."""
    sizes = SIZES[:2] if run.quick else SIZES
    rows = {n: measure(_case(run, n), rounds=5) for n in run.progress(sizes, "run time")}
    run.save(_draw(rows), "runtime")
    last = rows[sizes[-1]]
    for solver in ("pav", "dykstra"):
        yield Claim(
            f"run time: {solver} over threshold at n = {sizes[-1]}", last.ratios[solver], ">=", 1.0
        )


def _case(run: Run, n: int) -> Case:
    data = carried(run.library, fresh_rows(BATCH, n))[:64]

    def solved_by(name: str, solver: str) -> Contender:
        f = run.library.compiled(lambda x: topk_mask(x, n // 20, temperature=0.1, solver=solver))
        # Reading the result makes libraries that work asynchronously finish it.
        return Contender(name, lambda x: run.library.numpy(f(x)), data)

    threshold = solved_by("threshold", "auto")
    return Case(f"n = {n}", threshold, (solved_by("pav", "pav"), solved_by("dykstra", "dykstra")))


def _draw(rows: dict[int, Row]) -> object:
    figure, axis = new_figure()
    for solver, color in (("threshold", "soft"), ("pav", "smooth"), ("dykstra", "hard")):
        times = [1e3 * row.times[solver] / BATCH for row in rows.values()]
        axis.loglog(list(rows), times, "o-", color=COLORS[color], label=solver)
    axis.set(xlabel="n", ylabel="ms a row", title="sparse top-k mask, k = n/20, l = 0.1")
    axis.legend(frameon=False)
    return figure
