"""R2 and R3: rewards on the hexagon, by one loop and by nested ones of as many sampler steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel import autodiff
from fenchel.backend import Array, namespace
from fenchel.diffusion import ImplicitDiffusion, KLToReference, Reward
from fenchel.random import RandomStream

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .mixture import START, expected, hard, hexagon, sampler, smooth, weights

__all__ = ["claims", "draw", "optimised"]

Course = list[tuple[int, float]]  # sampler steps so far, exact mean reward


def optimised(
    run: Run,
    budget: int,
    *,
    inner: int | None = None,
    rate: float = 0.1,
    kind: str = "hard",
    objective: Any = None,
) -> tuple[Any, Course]:
    """Return the final state, and the course of the mean reward over the sampler steps."""
    particles = 300 if run.quick else 1000
    reward = Reward(hard if kind == "hard" else smooth)
    loop = ImplicitDiffusion(sampler(run, particles, inner), objective or -reward, rate)
    state = loop.init(0, run.library.array(START))
    updates = budget // (inner or 1)
    piece = max(1, updates // 50)
    course: Course = [(0, expected(run, state.params, kind))]
    name = "one loop" if inner is None else f"nested, {inner} steps"
    for done in run.progress(range(piece, updates + 1, piece), f"hexagon, {name}"):
        state, _ = loop.run(state, piece, progress=False)
        course.append((done * (inner or 1), expected(run, state.params, kind)))
    return state, course


def _unrolled(run: Run, budget: int, inner: int, rate: float = 0.1, kind: str = "hard") -> Array:
    """Return the logits after gradients through all steps; the jump of a reward has none."""
    particles = 300 if run.quick else 1000
    walk, logits = sampler(run, particles), run.library.array(START)
    fn: Callable[[Array], Array] = hard if kind == "hard" else smooth

    def loss(p: Array, number: Array) -> Array:
        state = walk.init(RandomStream(0, stream=number), p)
        final = walk.run(state, p, inner)
        rewards = fn(final.x)
        return -namespace(rewards).mean(rewards)

    slope = run.library.compiled(autodiff.grad(loss))
    for number in run.progress(range(budget // inner), "hexagon, unrolled"):
        logits = logits - rate * slope(logits, run.library.integers(number))
    return logits


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R2 and R3."""
    budget, rate = (2000, 0.2) if run.quick else (5000, 0.1)
    state, course = optimised(run, budget, rate=rate)
    found, bound = expected(run, state.params), 0.23 if run.quick else 0.285
    yield Claim("hexagon: mean reward of the single loop", found, ">=", bound)
    share = float(weights(run, state.params)[1])
    bound = 0.45 if run.quick else 0.95
    yield Claim("hexagon: weight of the best component", share, ">=", bound)
    nested, slow = optimised(run, budget, inner=100)
    run.save(draw(run, state, course, slow), "hexagon")
    found = expected(run, nested.params)
    yield Claim("hexagon: mean reward of nested loops of 100 steps", found, "<=", 0.10)
    if not run.quick:
        yield from _further(run, budget)
    yield from _divergence(run)


def _further(run: Run, budget: int) -> Iterator[Claim]:
    longest, _ = optimised(run, budget, inner=500)
    found = expected(run, longest.params)
    yield Claim("hexagon: mean reward of nested loops of 500 steps", found, "<=", 0.08)
    found = expected(run, _unrolled(run, budget, 100))
    yield Claim("hexagon: mean reward of unrolled loops of 100 steps", found, "<=", 0.10)
    fast, _ = optimised(run, budget, inner=100, rate=5.0)
    found = expected(run, fast.params)
    yield Claim("hexagon: nested with 50 times the learning rate", found, "<=", 0.20)
    joint, _ = optimised(run, budget, rate=1.0)
    found = expected(run, joint.params)
    yield Claim("hexagon: the single loop with 10 times", found, ">=", 0.29)
    joint, _ = optimised(run, budget, kind="smooth")
    found = expected(run, joint.params, "smooth")
    yield Claim("hexagon: smooth reward, single loop", found, ">=", 1.0)
    nested, _ = optimised(run, budget, inner=100, kind="smooth")
    found = expected(run, nested.params, "smooth")
    yield Claim("hexagon: smooth reward, nested", found, "<=", 0.45)


def _divergence(run: Run) -> Iterator[Claim]:
    """Yield the claims R3: a reference that keeps the law close."""
    import numpy as np

    start = run.library.array(START)
    data = hexagon(run).sample(RandomStream(1), start, 5000)
    stay = KLToReference(data, "from_reference", batch_size=200)
    budget, rate = (1000, 0.25) if run.quick else (3000, 0.1)
    state, _ = optimised(run, budget, rate=rate, objective=-Reward(hard) + 0.05 * stay)
    before, after = weights(run, start), weights(run, state.params)
    apart = float((before * np.log(before / after)).sum())
    found = expected(run, state.params)
    low, high = (0.5, 2.2) if run.quick else (0.9, 1.9)
    yield Claim("hexagon with a divergence: that of the weights", apart, ">=", low)
    yield Claim("hexagon with a divergence: and not more", apart, "<=", high)
    yield Claim("hexagon with a divergence: mean reward", found, ">=", 0.2 if run.quick else 0.24)


def draw(run: Run, state: Any, course: Course, slow: Course) -> Any:
    """Return the figure: exact mean rewards, and particles before and after."""
    figure, axes = new_figure(2)
    for label, values, color in (("one loop", course, "soft"), ("nested, 100", slow, "hard")):
        axes[0].plot(*zip(*values, strict=True), color=COLORS[color], label=label)
    axes[0].set_xlabel("sampler steps")
    axes[0].set_ylabel("mean reward, exact")
    axes[0].legend(frameon=False)
    x = run.library.numpy(state.sampler.x)
    walk = sampler(run, x.shape[0])
    start = run.library.array(START)
    begun = run.library.numpy(walk.run(walk.init(0, start), start, 200).x)
    for points, label, color in ((begun, "before", "hard"), (x, "after", "soft")):
        axes[1].scatter(points[:, 0], points[:, 1], s=4, color=COLORS[color], label=label)
    axes[1].set_aspect("equal")
    axes[1].set_title("particles")
    axes[1].legend(frameon=False)
    return figure
