"""R5: sampling in finite time, optimised with queues of any length."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.diffusion import DenoisingSampler, ImplicitDiffusion, Reward

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

_HORIZON, _STEPS, _TARGET = 4.0, 64, 1.5


def score(y: Array, t: Array, center: Array) -> Array:
    """Return the score of the noised law of N(center, 1)."""
    return namespace(y, t).exp(-t)[:, None] * center - y


class _Means(DenoisingSampler):
    """The recursion of the means: the sampler without its noise."""

    def transition(self, x: Array, t: Array, params: Any) -> tuple[Array, float]:
        """Return the mean of the next particles, and no deviation."""
        return super().transition(x, t, params)[0], 0.0


def _optimum() -> float:
    """Return the center whose samples have the target as their mean, by the Euler recursion."""
    h, mean = _HORIZON / _STEPS, 0.0
    for k in range(_STEPS):
        mean = mean + h * (-mean + 2.0 * exp(-(_HORIZON - k * h)))
    return _TARGET / mean


def _course(run: Run, kind: Any, queue: int, updates: int, rate: float, **options: Any) -> Any:
    """Return the centers, update by update."""
    import numpy as np

    sampler = kind(score, _HORIZON, _STEPS, **options)
    objective = Reward(lambda y: (y[..., 0] - _TARGET) ** 2)
    loop = ImplicitDiffusion(sampler, objective, rate, queue=queue)
    step = run.library.compiled(loop.step)
    state, centers = loop.init(0, run.library.array(0.0)), []
    title = f"a queue of {queue}"
    for i in run.progress(range(updates + queue - 1), title):
        state, _ = step(state)
        if i >= queue - 1:
            centers.append(float(state.params))
    return np.asarray(centers)


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R5."""
    best, updates = _optimum(), 250 if run.quick else 800
    figure, axis = new_figure()
    worst = exact = 0.0
    colors = {1: COLORS["hard"], 4: COLORS["soft"], 64: COLORS["smooth"]}
    queues = (4,) if run.quick else tuple(colors)
    for queue in queues:
        centers = _course(run, DenoisingSampler, queue, updates, 0.02, shape=(64, 1))
        worst = max(worst, abs(float(centers[updates // 2 :].mean()) - best))
        axis.plot(centers, color=colors[queue], label=f"queue of {queue}", linewidth=1)
        # Without noise a larger rate is stable, and the end is reached.
        still = 250 if run.quick else 600
        means = _course(run, _Means, queue, still, 0.05, shape=(1, 1), start=lambda e: 0.0 * e)
        exact = max(exact, abs(float(means[-1]) - best))
    names = ", ".join(map(str, queues))
    yield Claim(f"queues of {names}: centers of 64 particles from the optimum", worst, "<=", 0.03)
    bound = 1e-10 if run.library.dtype == "float64" else 1e-5
    yield Claim(f"queues of {names}: means alone from the optimum", exact, "<=", bound)
    axis.axhline(best, color=COLORS["reference"], linestyle=":")
    axis.set_xlabel("update")
    axis.set_ylabel("center")
    axis.legend(frameon=False)
    run.save(figure, "diffusion_queue")
