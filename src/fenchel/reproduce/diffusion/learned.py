"""R4: an energy learnt from data, by the divergence from the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.diffusion import ImplicitDiffusion, KLToReference
from fenchel.random import RandomStream

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .mixture import hexagon, sampler, weights

__all__ = ["claims"]

_WEIGHTS = (0.3, 0.05, 0.25, 0.05, 0.3, 0.05)


def _learnt(run: Run, seed: int, steps: int, skip: int) -> tuple[Any, Any]:
    """Return the weights by the average of the logits, and by the last ones."""
    import numpy as np

    truth = run.library.array(np.log(_WEIGHTS))
    data = hexagon(run).sample(RandomStream(100 + seed), truth, 5000)
    objective = KLToReference(data, "from_reference", batch_size=200)
    walk = sampler(run, 500 if run.quick else 1000)
    loop = ImplicitDiffusion(walk, objective, 0.1, average_from=skip)
    state = loop.init(seed, run.library.array(np.zeros(6)))
    piece = max(1, steps // 50)
    for _ in run.progress(range(0, steps, piece), f"learnt energy, seed {seed}"):
        state, _report = loop.run(state, piece, progress=False)
    return weights(run, state.average), weights(run, state.params)


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R4."""
    import numpy as np

    steps, skip, seeds = (1000, 500, 1) if run.quick else (3000, 1000, 3)
    found = [_learnt(run, seed, steps, skip) for seed in range(seeds)]
    errors = [[float(np.abs(w - _WEIGHTS).sum()) for w in pair] for pair in found]
    averaged, last = (max(row) for row in zip(*errors, strict=True))
    bound = 0.16 if run.quick else 0.08
    yield Claim("learnt energy: L1 error of the weights, averaged", averaged, "<=", bound)
    yield Claim("learnt energy: and of the last iterate", last, "<=", 0.25 if run.quick else 0.15)
    figure, axis = new_figure()
    place = np.arange(6)
    axis.bar(place - 0.2, _WEIGHTS, 0.4, color=COLORS["hard"], label="data")
    axis.bar(place + 0.2, found[0][0], 0.4, color=COLORS["soft"], label="learnt")
    axis.set_xlabel("component")
    axis.set_ylabel("weight")
    axis.legend(frameon=False)
    run.save(figure, "learnt")
