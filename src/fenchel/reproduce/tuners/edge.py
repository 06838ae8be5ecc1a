"""Full batches: tuners of learning rates that look one step ahead lose in the long run.

On a network with the squared loss, and on one with cross-entropy against soft labels (hard labels
can be separated: there sharpness tends to 0 and any line search does well).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

from fenchel.tuners import CDAT, Armijo, Constant, QuadraticGreedy

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .training import CrossEntropy, Squared, Trace, Trainer, digits, initial, soft_labels

__all__ = ["claims", "tour", "traces"]

# Halving finds a learning rate in fewer trials than a factor of 0.8.
SEARCH = Armijo(max_learning_rate=100.0, decrease_factor=0.5, increase_factor=2.0)
COLOR = {"constant": "hard", "Armijo": "smooth", "greedy": "reference"}


def tuners(quick: bool, kind: str) -> dict[str, Any]:
    """Return the tuners that are compared, constants first."""
    grid = (0.4, 0.5, 0.6) if kind == "squared" else (1.0, 1.5, 2.0)
    constants = {f"constant {rate:g}": Constant(rate) for rate in (grid[1:2] if quick else grid)}
    searches = {"Armijo": SEARCH, "greedy": QuadraticGreedy()}
    edge = {"CDAT 2": CDAT(2.0), "CDAT 2, plain": CDAT(2.0, guard=None)}
    found = {**constants, **searches, **edge}
    return found if kind != "squared" else {**found, "CDAT 1.9": CDAT(1.9)}


def traces(
    run: Run, kind: str, seed_count: int, steps: int
) -> tuple[dict[str, list[Trace]], float]:
    """Return the traces of each tuner, one a seed, and the lowest loss there can be."""
    library = run.library
    images, classes = digits()
    targets, floor = (classes, 0.0) if kind == "squared" else soft_labels(classes)
    data = (library.array(images), library.array(targets))
    objective, hidden = (Squared(), 4) if kind == "squared" else (CrossEntropy(), 3)
    found: dict[str, list[Trace]] = {}
    for name, tuner in tuners(run.quick, kind).items():
        trainer = Trainer(run, tuner, objective)
        found[name] = [
            trainer.train(initial(library, hidden, seed), data, steps, f"{kind}, {name}")
            for seed in range(seed_count)
        ]
    return found, floor


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims on loss, sharpness and their product with the learning rate."""
    seeds, steps = (1, 1000) if run.quick else (3, 2000)
    found, floor = traces(run, "squared", seeds, steps)
    run.save(draw(found), "squared")
    yield from _squared_claims(found)
    found, floor = traces(run, "soft labels", seeds, 1500)
    run.save(draw(found, floor), "soft-labels")
    yield from _soft_claims(found, floor)


def best_constant(found: dict[str, list[Trace]]) -> list[Trace]:
    """Return the traces of the constant with the least loss, seed by seed."""
    constants = [each for name, each in found.items() if name.startswith("constant")]
    return [min(same, key=_finite_loss) for same in zip(*constants, strict=True)]


def _finite_loss(trace: Trace) -> float:
    return trace.final() if isfinite(trace.final()) else inf


def mean(values: Any) -> float:
    """Return the mean over seeds."""
    import numpy as np

    return float(np.mean(list(values)))


def _squared_claims(found: dict[str, list[Trace]]) -> Iterator[Claim]:
    best = best_constant(found)
    usual = mean(t.final_sharpness for t in best)

    def relative(name: str) -> float:
        return mean(t.final_sharpness for t in found[name]) / usual

    said = "squared loss: sharpness over the best constant's,"
    yield Claim(f"{said} greedy", relative("greedy"), ">=", 1.8)
    yield Claim(f"{said} Armijo", relative("Armijo"), ">=", 1.3)
    yield Claim(f"{said} CDAT without a guard", relative("CDAT 2, plain"), "<=", 0.6)
    # The overshoots that the guard refuses are those that flatten: fewer of them, and a lower loss.
    yield Claim(f"{said} CDAT", relative("CDAT 2"), "<=", 0.85)
    for name, traces_, low, high in (
        ("constant", best, 1.9, 2.1),
        ("CDAT at 2", found["CDAT 2"], 1.95, 2.3),
        ("CDAT at 2 without a guard", found["CDAT 2, plain"], 1.95, 2.3),
        ("CDAT at 1.9", found["CDAT 1.9"], 1.9, 2.05),
    ):
        edge = mean(t.edge for t in traces_)
        yield Claim(f"squared loss: learning rate times sharpness, {name}", edge, ">=", low)
        yield Claim(f"squared loss: learning rate times sharpness, {name}", edge, "<=", high)
    for name, said in (("CDAT 2", "CDAT"), ("CDAT 2, plain", "CDAT without a guard")):
        ratio = mean(t.final() for t in found[name]) / mean(t.final() for t in best)
        yield Claim(f"squared loss: {said}, loss over the best constant's", ratio, "<=", 1.4)
        growth = mean(_growth(t) for t in found[name])
        yield Claim(f"squared loss: {said}, growth of the rate, a warm-up", growth, ">=", 2.5)


def _growth(trace: Trace) -> float:
    return float(trace.rates[-len(trace.rates) // 4 :].mean() / trace.rates[0])


def _soft_claims(found: dict[str, list[Trace]], floor: float) -> Iterator[Claim]:
    excess = {name: mean(t.final(floor) for t in each) for name, each in found.items()}
    ratio = excess["CDAT 2"] / excess["Armijo"]
    yield Claim("soft labels: CDAT's excess loss over Armijo's", ratio, "<=", 0.5)
    ratio = excess["CDAT 2"] / excess["CDAT 2, plain"]
    yield Claim("soft labels: CDAT's excess loss over that without a guard", ratio, "<=", 1.0)
    # The guard lets the sharpness grow here, below that of the search, and the loss gains by it.
    tops = {name: mean(t.final_sharpness for t in each) for name, each in found.items()}
    ratio = tops["Armijo"] / tops["CDAT 2, plain"]
    yield Claim("soft labels: Armijo's sharpness over CDAT's without a guard", ratio, ">=", 5.0)
    ratio = tops["Armijo"] / tops["CDAT 2"]
    yield Claim("soft labels: Armijo's sharpness over CDAT's", ratio, ">=", 1.5)


def tour(run: Run) -> Claim:
    """Train a network with a line search and at the edge, and compare the sharpness."""
    library = run.library
    images, classes = digits(200)
    data = (library.array(images), library.array(classes))
    found = {}
    for name, tuner in {"Armijo": SEARCH, "CDAT 2": CDAT(2.0)}.items():
        trainer = Trainer(run, tuner, Squared())
        found[name] = [trainer.train(initial(library, 1, 0), data, 300, name)]
    print(f"  {'tuner':<10} {'loss':>10} {'sharpness':>10} {'product':>8}")
    for name, (trace,) in found.items():
        numbers = f"{trace.final():>10.2e} {trace.final_sharpness:>10.2f} {trace.edge:>8.2f}"
        print(f"  {name:<10} {numbers}")
    print(f"  figure: {run.save(draw(found), 'tuners')}")
    ratio = found["CDAT 2"][0].final_sharpness / found["Armijo"][0].final_sharpness
    return Claim("sharpness at the edge over the line search's", ratio, "<=", 0.6)


def draw(found: dict[str, list[Trace]], floor: float = 0.0) -> Any:
    """Return the four panels of the paper: loss, learning rate, sharpness, their product."""
    import numpy as np

    figure, axes = new_figure(4)
    for name, (trace, *_) in found.items():
        color = COLORS[COLOR.get(name.split()[0], "soft")]
        style = {"CDAT 1.9": "--", "CDAT 2, plain": ":"}.get(name, "-")
        chunk = len(trace.values) // len(trace.sharpness)
        ends = np.arange(1, len(trace.sharpness) + 1) * chunk
        rates = np.median(trace.rates.reshape(-1, chunk), axis=1)
        for axis, x, y in (
            (axes[0], np.arange(len(trace.values)), trace.values - floor),
            (axes[1], ends, rates),
            (axes[2], ends, trace.sharpness),
            (axes[3], ends, rates * trace.sharpness),
        ):
            axis.plot(x, y, style, color=color, linewidth=1, label=name)
    for axis, title in zip(
        axes, ("loss", "learning rate", "sharpness", "learning rate x sharpness"), strict=True
    ):
        axis.set(title=title, xlabel="step", yscale="log")
    axes[3].set(yscale="linear", ylim=(0, 4))
    axes[3].axhline(2.0, color="black", linewidth=0.5)
    axes[0].legend(frameon=False, fontsize=7)
    return figure
