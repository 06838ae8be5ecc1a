"""Learning rate and sharpness as a recurrence in two numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.tuners import joint_dynamics

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims on the three kinds of learning rate."""
    library = run.library

    def simulate(kind: str, steps: int, **options: Any) -> tuple[Any, Any, Any]:
        names = ("x", "sharpness", "progressive", "stabilizing", "learning_rate")
        arrays = {k: library.array(v) if k in names else v for k, v in options.items()}
        x, sharp, rate = joint_dynamics(kind, steps, **arrays)
        return library.numpy(x), library.numpy(sharp), library.numpy(rate)

    pair = {"x": 0.1, "progressive": 0.02, "stabilizing": 0.2}
    _, sharp, _ = simulate("constant", 1000, **pair, sharpness=9.5, learning_rate=0.2)
    distance = abs(float(sharp[500:].mean()) - 10.0)
    yield Claim(
        "constant: distance of the mean sharpness from 2 / learning rate", distance, "<=", 0.1
    )
    steps = 2000 if run.quick else 20000
    yield from _undershoot(simulate, pair, steps)
    yield from _edge(run, simulate, steps)


def _undershoot(simulate: Any, pair: dict[str, float], steps: int) -> Iterator[Claim]:
    margin = 0.05
    _, sharp, rate = simulate("undershoot", steps, **pair, sharpness=9.5, margin=margin)
    expected = (9.5**2 + 4 * (1 - margin) * 0.02 * steps) ** 0.5
    error = abs(float(sharp[-1]) / expected - 1)
    yield Claim("below the edge: error of the law of the sharpness", error, "<=", 0.01)
    product = float(abs(rate * sharp[:-1] - 2 * (1 - margin)).max())
    yield Claim("below the edge: change of learning rate times sharpness", product, "<=", 1e-4)


def _edge(run: Run, simulate: Any, steps: int) -> Iterator[Claim]:
    options = {
        "x": 0.1,
        "sharpness": 5.0,
        "progressive": 0.01,
        "stabilizing": 0.1,
        "bulk_gradient": 0.02,
        "bulk_curvature": 4.0,
    }
    found = {s: simulate("cdat", steps, **options, scaling=s) for s in (2.0, 1.95)}
    figure, axis = new_figure()
    for scaling, color in ((2.0, "soft"), (1.95, "smooth")):
        axis.plot(found[scaling][1], color=COLORS[color], label=f"scaling {scaling:g}")
    axis.set(xlabel="step", ylabel="sharpness", xscale="log", title="CDAT in two numbers")
    axis.legend(frameon=False)
    run.save(figure, "recurrences")
    _, sharp, rate = found[2.0]
    yield Claim(
        "at the edge: largest sharpness over the first", float(sharp.max() / 5.0), "<=", 1.3
    )
    centred = abs(float((rate * sharp[:-1] - 2.0).mean()))
    yield Claim("at the edge: mean of learning rate times sharpness minus 2", centred, "<=", 0.01)
    growth = float(found[1.95][1][-1] / sharp[-1])
    yield Claim("just below the edge: sharpness over that at the edge", growth, ">=", 1.5)
