"""Positional weights alone: concentrated contexts blur them (figure 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.incontext import positional_quadratic
from fenchel.loops import fori_loop

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

LENGTH, TARGET = 30, 1e-3
CONCENTRATIONS = (1.0, 50.0, 100.0, 200.0, 300.0)
CHUNK = 10


def claims(run: Run) -> Iterator[Claim]:
    """Yield how much weight stays on the last token, by concentration."""
    import numpy as np

    found = {mu: _descend(run, mu) for mu in CONCENTRATIONS}
    last = [found[mu][-1] for mu in CONCENTRATIONS]
    yield Claim("whole circle: weight of the last token", float(last[0]), ">=", 0.95)
    yield Claim("concentration 300: weight of the last token", float(last[-1]), "<=", 0.2)
    rise = float(np.max(np.diff(last)))
    yield Claim("largest rise of that weight with the concentration", rise, "<=", 0.0)
    gram, _ = positional_quadratic(LENGTH, concentration=300.0)
    values = np.linalg.eigvalsh(gram)
    rank = float(np.sum(values > 1e-6 * values[-1]))
    yield Claim("concentration 300: rank of the quadratic at 1e-6", rank, "<=", 5)
    figure, axis = new_figure()
    for mu, color in zip((1.0, 50.0, 300.0), ("hard", "smooth", "soft"), strict=True):
        axis.plot(range(1, LENGTH + 1), found[mu], color=COLORS[color], label=f"{mu:g}")
    axis.set(xlabel="position", ylabel="weight", title="Learnt weights, by concentration")
    axis.legend(frameon=False)
    run.save(figure, "positions")


def _descend(run: Run, concentration: float) -> Any:
    """Return the weights at which gradient descent from 0 reaches the target loss."""
    import numpy as np

    library = run.library
    host, end = positional_quadratic(LENGTH, concentration=concentration)
    gram, rhs = library.array(host), library.array(end)
    xp = library.namespace
    rate = 0.02 / float(np.linalg.eigvalsh(host)[-1])

    def step(_: Any, p: Any) -> Any:
        return p - rate * 2.0 * (xp.matmul(gram, p) - rhs)

    advance = library.compiled(lambda p: fori_loop(0, CHUNK, step, p))
    p = library.array(np.zeros(LENGTH))
    for _ in range(20000):
        weights = library.numpy(p)
        if weights @ host @ weights - 2 * end @ weights + 1 <= TARGET:
            return weights
        p = advance(p)
    return library.numpy(p)
