"""R6, the rivals of the adjoint: a path differentiated through its last steps, and its likelihood.

All minimise the same objective, minus the brightness plus the divergence of the path over a ratio,
by as many updates of the same optimiser from batches of the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.autodiff import grad, stop_gradient
from fenchel.backend import Array, backend_of, namespace
from fenchel.diffusion import DenoisingSampler, Descent, PathKL, RandomStream
from fenchel.trees import map
from fenchel.tuners import Adam

from ..paper import Claim, Run
from .score import HORIZON, STEPS, score
from .sheets import BATCH, RATE, UPDATES, Sheet, brightness, drawn, step_with_cost

__all__ = ["claims"]

Slope = Callable[[Any, Any], Any]


def truncated(first: Any, ratio: float, last: int) -> Slope:
    """Return the gradient through the last steps alone (DRaFT-K, arXiv 2309.17400)."""
    sampler = DenoisingSampler(score, HORIZON, STEPS, shape=(BATCH, 64))
    step = step_with_cost(sampler, PathKL(lambda y, t: score(y, t, first)))

    def slope(params: Any, stream: Any) -> Any:
        start = sampler.init(stream, params)
        backend = backend_of(start.x)
        early = STEPS - last
        move = lambda _, state: sampler.step(state, params)  # noqa: E731
        begun = stop_gradient(backend.fori_loop(0, early, move, start)) if early else start

        def objective(params: Any) -> Array:
            state, total = begun, 0.0
            for _ in range(last):
                state, cost = step(state, params)
                total = total + cost
            return total / ratio - namespace(state.x).mean(brightness(state.x))

        return grad(objective)(params)

    return slope


def likelihood_ratio(first: Any, ratio: float) -> Slope:
    """Return the gradient by the likelihood of the path (REINFORCE, or DDPO without clipping)."""
    sampler = DenoisingSampler(score, HORIZON, STEPS, shape=(BATCH, 64))
    h = sampler.step_size

    def slope(params: Any, stream: Any) -> Any:
        start = sampler.init(stream, params)
        backend = backend_of(start.x)
        xp = backend.namespace

        def move(state: Any, _: Any) -> tuple[Any, Array]:
            new = sampler.step(state, params)
            return new, new.x

        path = backend.scan(move, start, None, STEPS)[1]
        before = xp.concat([start.x[None, ...], path[:-1, ...]], axis=0)
        # all steps of all paths are one batch: the path is fixed
        y, after = (xp.reshape(part, (STEPS * BATCH, 64)) for part in (before, path))
        places = xp.arange(STEPS, dtype=y.dtype)[:, None] + xp.zeros_like(y[:BATCH, 0])
        t = sampler.times(y, xp.reshape(places, (STEPS * BATCH,)) * h)
        reference = score(y, t, first)

        def costs(params: Any) -> tuple[Array, Array]:
            """Log-likelihood of each path, and its divergence."""
            found = score(y, t, params)
            names = namespace(found)
            off = names.asarray(after - y - h * y) - 2.0 * h * found
            apart = found - names.asarray(reference)
            squares = (names.sum(part * part, axis=-1) for part in (off, apart))
            rows = (names.reshape(part, (STEPS, BATCH)) for part in squares)
            off, apart = (names.sum(part, axis=0) for part in rows)
            return -off / (4.0 * h), apart * h

        paid = stop_gradient(costs(params)[1]) / ratio - brightness(path[-1, ...])
        advantage = (paid - xp.mean(paid)) / (BATCH - 1)

        def objective(params: Any) -> Array:
            likelihood, divergence = costs(params)
            names = namespace(likelihood)
            by_chance = names.sum(names.asarray(advantage) * likelihood)
            return by_chance + names.mean(divergence) / ratio

        return grad(objective)(params)

    return slope


def tuned(run: Run, first: Any, slope: Slope, title: str) -> Any:
    """Return the parameters after the updates by a gradient."""
    optimizer = Descent(RATE, Adam())
    number = namespace(first[0][0]).asarray

    def update(params: Any, state: Any, place: Array) -> tuple[Any, Any]:
        found = slope(params, RandomStream(0, stream=place))
        move, state = optimizer.update(found, state, params)
        return map(lambda w, d: w + d, params, move), state

    advance, params, state = run.library.compiled(update), first, optimizer.init(first)
    for place in run.progress(range(UPDATES), title):
        params, state = advance(params, state, number(place))
    return params


def claims(run: Run, first: Any, ours: Sheet) -> Iterator[Claim]:
    """Yield what the rivals reach at a ratio of 100, and how much more of the path it takes."""
    rivals = {
        "DRaFT-1": (truncated(first, 100.0, 1), 1.1),
        "DRaFT-8": (truncated(first, 100.0, 8), 1.1),
        "REINFORCE": (likelihood_ratio(first, 100.0), 1.7),
    }
    for name, (slope, least) in rivals.items():
        sheet = drawn(run, tuned(run, first, slope, name), first)
        yield Claim(f"digits: {name}, brightness", sheet.brightness, ">=", 0.40)
        pays = sheet.path_kl / ours.path_kl
        yield Claim(f"digits: {name}, divergence over that of the adjoint", pays, ">=", least)
