"""R7: what a gradient through a thousand Langevin steps costs in time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from fenchel.backend import Array, namespace
from fenchel.diffusion import (
    LangevinSampler,
    MLPEnergy,
    implicit_gradient,
    sde_adjoint,
)
from fenchel.random import RandomStream

from ..paper import Claim, Run
from .peak import compiled_extra, peak_extra

__all__ = ["claims"]

_PARTICLES, _STEP = 256, 0.01


def reward(x: Array) -> Array:
    """Return a smooth reward, so that the unrolled loop has a derivative."""
    xp = namespace(x)
    return -0.5 * xp.sum((x - 1.0) ** 2, axis=-1)


class _Problem:
    """An energy MLP 2-64-64-1 in a quadratic well, in float32, and the ways to a gradient."""

    def __init__(self, run: Run) -> None:
        import numpy as np

        self.library = run.library
        self.energy = MLPEnergy((64, 64))
        like = run.library.backend.from_host(np.zeros(1, np.float32))
        self.params = self.energy.init(0, 2, like=like)
        self.x = RandomStream(1).normal((_PARTICLES, 2), like=like)
        self.sampler = LangevinSampler(self.energy, step_size=_STEP, shape=(_PARTICLES, 2))

    def unrolled(self, steps: int) -> Callable[[Any], Any]:
        """Differentiate through the loop, by the derivatives of the library."""

        def value(params: Any) -> Array:
            state = self.sampler.init(0, params, start=self.x)
            return namespace(self.x).mean(reward(self._looped(state, params, steps).x))

        return self._compiled(lambda params: self.library.backend.value_and_grad(value)(params)[1])

    def _looped(self, state: Any, params: Any, steps: int) -> Any:
        backend = self.library.backend
        if backend.native_autodiff and self.library.name == "jax":
            move = lambda carry, _: (self.sampler.step(carry, params), ())  # noqa: E731
            return backend.scan(move, state, None, steps)[0]
        for _ in range(steps):
            state = self.sampler.step(state, params)
        return state

    def implicit(self, steps: int) -> Callable[[Any], Any]:
        """Sample to the end, then the covariance."""

        def gradient(params: Any) -> Any:
            state = self.sampler.init(0, params, start=self.x)
            backend = self.library.backend
            state = backend.fori_loop(0, steps, lambda _, s: self.sampler.step(s, params), state)
            return implicit_gradient(self.energy, params, state.x, reward(state.x))

        return self._compiled(gradient)

    def adjoint(self, steps: int, memory: str) -> Callable[[Any], Any]:
        """Differentiate the path by its discrete adjoint."""

        def gradient(params: Any) -> Any:
            return sde_adjoint(
                lambda x, t, p: -self.energy.grad_x(x, p),
                params,
                self.x,
                step_size=_STEP,
                n_steps=steps,
                terminal=lambda x: namespace(x).mean(reward(x)),
                rng=RandomStream(0, step=1),
                memory=memory,
            ).gradient

        return self._compiled(gradient)

    def _compiled(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return self.library.compiled(f)

    def timed(self, f: Callable[[Any], Any]) -> float:
        """Return the processor time of a call, after one that compiles."""
        self._read(f(self.params))
        start = time.process_time()
        self._read(f(self.params))
        return time.process_time() - start

    def extra(self, f: Callable[[Any], Any], calls: int = 1) -> float | None:
        """Return the peak of memory of a call, in MiB over what was there; None if unknown.

        The least of several calls: what the allocator keeps for itself comes and goes.
        """
        if self.library.name == "jax":
            return compiled_extra(f, self.params)
        self._read(f(self.params))
        found = [peak_extra(lambda: self._read(f(self.params))) for _ in range(calls)]
        known = [size for size in found if size is not None]
        return min(known) if known else None

    def _read(self, gradient: Any) -> None:
        self.library.numpy(gradient[0][0])


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R7; on NumPy the tape takes the place of the library's derivatives."""
    problem, steps = _Problem(run), 100 if run.quick else 1000
    ways = {"unrolled": problem.unrolled(steps), "implicit": problem.implicit(steps)}
    times = {name: problem.timed(f) for name, f in ways.items()}
    one = problem.timed(problem.implicit(1))
    faster, fewer = times["unrolled"] / times["implicit"], times["unrolled"] / one
    yield Claim(
        f"T = {steps}: nested implicit, times faster than unrolled",
        faster,
        ">=",
        2.0 if run.quick else 5.0,
    )
    bound = 20.0 if run.quick else 500.0  # of a tenth of the steps, a tenth and less
    yield Claim(f"T = {steps}: joint, times faster an update than unrolled", fewer, ">=", bound)
    extra = {name: problem.extra(f) for name, f in ways.items()}
    if extra["unrolled"] is None:  # no such measure on this system
        return
    yield Claim(
        f"T = {steps}: times less memory than unrolled",
        _over(extra["unrolled"], extra["implicit"]),
        ">=",
        5.0 if run.quick else 50.0,
    )
    if run.quick:
        return
    long, short = (problem.extra(problem.implicit(n), 3) for n in (steps, steps // 4))
    flat = _over(long, short)
    yield Claim("memory of the implicit gradient, T = 1000 over T = 250", flat, "<=", 1.1)
    long, short = (problem.extra(problem.adjoint(n, "checkpoint"), 3) for n in (steps, steps // 4))
    root = _over(long, short)
    yield Claim("memory of the checkpointed adjoint, T = 1000 over T = 250", root, "<=", 2.5)


def _over(a: float | None, b: float | None) -> float:
    """Return a ratio of sizes in MiB; a tenth of one is the noise of the allocator."""
    return max(a or 0.0, 0.1) / max(b or 0.0, 0.1)
