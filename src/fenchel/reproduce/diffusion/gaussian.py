"""R1: the single loop on a Gaussian, where everything is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.diffusion import Energy, ImplicitDiffusion, LangevinSampler, Reward

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims"]

_STEP, _RATE, _TARGET = 0.1, 0.05, 2.0


def _energy(x: Array, center: Array) -> Array:
    return namespace(x, center).sum((x - center) ** 2, axis=-1) / 2


def _reward(x: Array) -> Array:
    return namespace(x).sum((x - _TARGET) ** 2, axis=-1) * -0.5


def _mean_field(steps: int) -> Any:
    """Return the centers of infinitely many particles: their mean and variance are enough."""
    import numpy as np

    mean, variance, center, centers = 0.0, 1.0, 0.0, []
    for _ in range(steps):
        mean += _STEP * (center - mean)
        variance = (1.0 - _STEP) ** 2 * variance + 2.0 * _STEP
        center -= _RATE * variance * (mean - _TARGET)
        centers.append(center)
    return np.asarray(centers)


def _course(run: Run, particles: int, steps: int) -> Any:
    """Return the center after each step."""
    import numpy as np

    sampler = LangevinSampler(Energy(_energy), step_size=_STEP, shape=(particles, 1))
    loop = ImplicitDiffusion(sampler, -Reward(_reward), _RATE)
    state, centers = loop.init(0, run.library.array([0.0])), []
    step = run.library.compiled(loop.step)
    for _ in run.progress(range(steps), f"Gaussian, {particles} particles"):
        state, _report = step(state)
        centers.append(float(state.params[0]))
    return np.asarray(centers)


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R1."""
    import numpy as np

    particles, steps = (2000, 600) if run.quick else (5000, 3000)
    centers = _course(run, particles, steps)
    last = centers[-min(500, steps // 2) :]
    off = abs(float(np.mean(last)) - _TARGET)
    bound = 0.06 if run.quick else 0.02
    yield Claim("Gaussian: mean of the last centers from the optimum", off, "<=", bound)
    many, allowed = (20_000, 0.05) if run.quick else (200_000, 0.01)
    exact = _mean_field(200)
    follows = _course(run, many, 60 if run.quick else 200)
    apart = float(np.max(np.abs(follows - exact[: len(follows)])))
    yield Claim(f"Gaussian: {many} particles from the mean field", apart, "<=", allowed)
    limit = abs(float(_mean_field(3000)[-1]) - _TARGET)
    yield Claim("Gaussian: the mean field from the optimum", limit, "<=", 1e-10)
    figure, axis = new_figure()
    axis.plot(centers, color=COLORS["soft"], label=f"{particles} particles", linewidth=0.8)
    axis.plot(exact, color=COLORS["smooth"], label="mean field")
    axis.axhline(_TARGET, color=COLORS["reference"], linestyle=":")
    axis.set_xlabel("step")
    axis.set_ylabel("center")
    axis.legend(frameon=False)
    run.save(figure, "gaussian")
