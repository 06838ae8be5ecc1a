"""The mixture of experts: how many experts a token reaches, and which of them learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.autodiff import grad
from fenchel.backend import Array, namespace
from fenchel.operators import topk_mask

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

EXPERTS, K = 32, 2
TEMPERATURES = (0.1, 0.5, 1.0, 2.0)
# Mean counts of another implementation, over a sample that leaves them good to a few per cent.
ACTIVE = {2.0: (2.38, 3.64, 5.04, 7.7), 4 / 3: (2.41, 4.35, 7.43, 14.5)}


def claims(run: Run) -> Iterator[Claim]:
    """Yield the mean number of active experts, and that exactly the free ones get a gradient."""
    import numpy as np

    tokens = 2000 if run.quick else 20_000
    logits = run.library.array(np.random.default_rng(0).standard_normal((tokens, EXPERTS)))
    measured = {p: [_active(run, logits, t, p) for t in TEMPERATURES] for p in ACTIVE}
    run.save(_draw(measured), "router")
    for p, expected in ACTIVE.items():
        worst = max(abs(m / e - 1) for m, e in zip(measured[p], expected, strict=True))
        yield Claim(
            f"router, p = {p:.3g}: active experts against the expected ones, relative error",
            worst,
            "<=",
            0.05,
        )
    yield Claim(
        "router: tokens whose gradient reaches exactly the experts that share a slot",
        _exact_reach(run, logits[:500, ...]),
        ">=",
        1.0,
    )


def _active(run: Run, logits: Any, temperature: float, p: float) -> float:
    mask = run.library.numpy(topk_mask(logits, K, temperature=temperature, p=p))
    return float((mask > 0).sum(axis=-1).mean())


def _exact_reach(run: Run, logits: Any) -> float:
    """Return the share of tokens whose gradient is non-zero on the fractional entries alone."""
    import numpy as np

    value = run.library.array(np.random.default_rng(1).standard_normal(logits.shape))

    def total(x: Array) -> Array:
        return namespace(x).sum(topk_mask(x, K) * value)

    gradient = grad(total)(logits)
    mask = run.library.numpy(topk_mask(logits, K))
    free = (mask > 0) & (mask < 1)
    reached = run.library.numpy(gradient) != 0
    return float(np.mean(np.all(free == reached, axis=-1)))


def _draw(measured: dict[float, list[float]]) -> Any:
    figure, axis = new_figure()
    for (p, counts), color in zip(measured.items(), ("soft", "smooth"), strict=True):
        axis.plot(TEMPERATURES, counts, "o-", color=COLORS[color], label=f"p = {p:.3g}")
    axis.axhline(K, linestyle="--", color=COLORS["hard"], label="hard")
    axis.set(xlabel="temperature", ylabel="active experts of 32", title="k = 2, normal logits")
    axis.legend(frameon=False)
    return figure
