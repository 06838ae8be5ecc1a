"""Small batches: the best scaling falls below 2, and averages of n and d bring it back."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from fenchel.loops import scan
from fenchel.tuners import CDAT

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .training import Squared, digits, initial

__all__ = ["claims", "final_loss"]

SIZES = ((8, 2000), (32, 1500), (128, 800))
# At batches of 32 starts differ by more than scalings from 1.5 to 2 do: three do not tell.
SEEDS = 8
CHUNK = 50


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims on scalings for each size of batch."""
    sizes = ((32, 1000),) if run.quick else SIZES
    scalings = (1.0, 1.5, 2.0, 2.25) if run.quick else tuple(0.25 * i for i in range(1, 10))
    figure, axes = new_figure(max(len(sizes), 2))
    for axis, (batch, steps) in zip(axes, sizes, strict=False):
        losses = {
            ema: {s: final_loss(run, s, ema, batch, steps) for s in scalings} for ema in (0.0, 0.9)
        }
        for ema, color in ((0.0, "smooth"), (0.9, "soft")):
            axis.plot(list(losses[ema]), list(losses[ema].values()), "o-", color=COLORS[color])
        axis.set(title=f"batches of {batch}", xlabel="scaling", yscale="log", ylabel="loss")
        yield from _compared(losses, batch)
    run.save(figure, "minibatch")


def _compared(losses: dict[float, dict[float, float]], batch: int) -> Iterator[Claim]:
    plain, averaged = losses[0.0], losses[0.9]
    best = min(plain, key=lambda s: plain[s])
    yield Claim(f"batches of {batch}: best scaling without averages", best, "<=", 1.75)
    ratio = averaged[2.0] / min(averaged.values())
    yield Claim(f"batches of {batch}, averages: loss at 2 over the best", ratio, "<=", 1.3)
    ratio = plain[2.25] / plain[best]
    yield Claim(f"batches of {batch}: loss at 2.25 over the best", ratio, ">=", 2.0)


def final_loss(run: Run, scaling: float, ema: float, batch: int, steps: int) -> float:
    """Return the loss on all images over the last quarter, mean over starts; infinity if NaN."""
    import numpy as np

    library, tuner, objective = run.library, CDAT(scaling, ema=ema, guard=None), Squared()
    images, classes = digits()

    def advance(carry: Any, batches: Any) -> Any:
        def step(carry: Any, data: Any) -> Any:
            params, state, info = tuner.step(objective, *carry, *data)
            return (params, state), info.value

        return scan(step, carry, batches)

    advance, value = library.compiled(advance), library.compiled(objective)
    everything = (library.array(images), library.array(classes))
    losses: list[float] = []
    for seed in range(2 if run.quick else SEEDS):
        rng, params = np.random.default_rng(seed), initial(library, 2, seed)
        carry: Any = (params, tuner.init(params))
        title, found = f"batches of {batch}, scaling {scaling:g}", []
        for _ in run.progress(range(steps // CHUNK), title):
            rows = np.stack([rng.choice(len(images), batch, replace=False) for _ in range(CHUNK)])
            data = (library.array(images[rows]), library.array(classes[rows]))
            carry, _ = advance(carry, data)
            found.append(float(value(carry[0], *everything)))
        losses.extend(found[-len(found) // 4 :])
    mean = float(np.mean(losses))
    return mean if np.isfinite(mean) else inf
