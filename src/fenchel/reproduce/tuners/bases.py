"""The edge with other directions: momentum, Adam and RMSProp against constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.tuners import CDAT, Adam, Constant, Momentum, RMSProp

from ..paper import Claim, Run
from .training import Squared, Trainer, digits, initial

__all__ = ["claims"]

GRIDS: dict[str, tuple[Any, tuple[float, ...]]] = {
    "momentum": (Momentum(0.9), (0.05, 0.1, 0.2)),
    "Adam": (Adam(), (3e-3, 1e-2, 3e-2)),
    "RMSProp": (RMSProp(), (1e-3, 3e-3, 1e-2)),
}


def claims(run: Run) -> Iterator[Claim]:
    """Yield the loss of CDAT over that of the best of three constants."""
    library = run.library
    images, classes = digits()
    data = (library.array(images), library.array(classes))
    steps = 500 if run.quick else 1000
    for name, (base, grid) in GRIDS.items():
        losses = []
        for tuner in (CDAT(2.0, base=base), *(Constant(rate, base=base) for rate in grid)):
            trainer = Trainer(run, tuner, Squared(), track=False)
            losses.append(trainer.train(initial(library, 4, 0), data, steps, name).final())
        ratio = losses[0] / min(losses[1:])
        yield Claim(
            f"{name}: CDAT's loss over that of the best of three constants", ratio, "<=", 0.6
        )
