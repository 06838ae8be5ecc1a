"""Structured prediction with projection oracles (Blondel, NeurIPS 2019).

The tighter the set that the loss projects onto, the better the prediction: rankings of five items
are learnt with R^25, the cube, five simplices, and the Birkhoff polytope.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from fenchel.convex import Birkhoff, Cube, Reals, Simplex
from fenchel.integrations._linear import fit_linear
from fenchel.losses import FenchelYoung
from fenchel.regularizers import SquaredNorm

from ..figures import COLORS, new_figure
from ..library import Library
from ..paper import Claim, Paper, Run

__all__ = ["PAPER", "SETS", "hamming", "rankings"]

ITEMS, FEATURES, TRAIN, TEST, RIDGE = 5, 20, 200, 1000, 1e-2
# From the loosest to the tightest; a row of scores is a matrix, items by places.
SETS = {"R^25": Reals(), "cube": Cube(), "simplices": Simplex(), "Birkhoff": Birkhoff()}


def rankings(seed: int) -> tuple[Any, Any]:
    """Return features and permutation matrices: noisy linear utilities, sorted.

    Examples
    --------
    >>> x, y = rankings(0)
    >>> x.shape, y.shape
    ((1200, 20), (1200, 5, 5))
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((TRAIN + TEST, FEATURES))
    utilities = x @ rng.standard_normal((FEATURES, ITEMS))
    utilities = utilities + 2.0 * rng.standard_normal(utilities.shape)
    places = np.argsort(np.argsort(-utilities, axis=1), axis=1)
    return x, np.eye(ITEMS)[places]


def hamming(library: Library, domain: Any, seed: int) -> float:
    """Return the share of items that a linear model puts in a wrong place."""
    import numpy as np

    x, y = rankings(seed)
    model = fit_linear(
        FenchelYoung(SquaredNorm(domain)),
        library.array(x[:TRAIN]),
        library.array(y[:TRAIN]),
        ITEMS * ITEMS,
        ridge=RIDGE,
        max_iter=200,
        tol=1e-5,
        event=(ITEMS, ITEMS),
    )
    scores = (x[TRAIN:] @ model.weights + model.intercept).reshape(-1, ITEMS, ITEMS)
    expected = domain.project(library.array(scores))
    predicted = library.numpy(Birkhoff().linear_argmax(expected))
    wrong = predicted.argmax(axis=-1) != y[TRAIN:].argmax(axis=-1)
    return float(np.mean(wrong))


def claims(run: Run) -> Iterator[Claim]:
    """Yield the error of each set over that of the next looser one."""
    import numpy as np

    seeds = range(2 if run.quick else 5)
    errors = {
        name: [hamming(run.library, domain, seed) for seed in run.progress(seeds, name)]
        for name, domain in SETS.items()
    }
    run.save(_draw(errors), "ranking")
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    print("  " + "  ".join(f"{name} {mean:.3f}" for name, mean in means.items()))
    for looser, tighter in pairwise(SETS):
        ratio = means[tighter] / means[looser]
        yield Claim(f"ranking: errors with {tighter} over {looser}", ratio, "<=", 0.999)


def tour(run: Run) -> Claim:
    """Learn rankings with the loosest and the tightest set."""
    errors = {name: [hamming(run.library, SETS[name], 0)] for name in ("R^25", "Birkhoff")}
    for name, (error,) in errors.items():
        print(f"  {name:<10} {error:.1%} of the items in a wrong place")
    print(f"  figure: {run.save(_draw(errors), 'projections')}")
    ratio = errors["Birkhoff"][0] / errors["R^25"][0]
    return Claim("ranking errors with the Birkhoff polytope over R^25", ratio, "<=", 0.95)


def _draw(errors: dict[str, list[float]]) -> Any:
    import numpy as np

    figure, axis = new_figure()
    means = [float(np.mean(values)) for values in errors.values()]
    axis.bar(list(errors), means, 0.6, color=COLORS["soft"])
    for place, values in enumerate(errors.values()):
        axis.plot([place] * len(values), values, ".", color=COLORS["hard"])
    axis.set(ylabel="items in a wrong place", title="rankings of five items", ylim=0)
    return figure


PAPER = Paper(
    name="projections",
    title="Structured Prediction with Projection Oracles",
    reference="NeurIPS 2019, arXiv 1910.11369",
    claims=claims,
    tour=tour,
)
