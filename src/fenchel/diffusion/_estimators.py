"""The methods that `compare_gradients` knows, each as a function of parameters and a stream."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..autodiff import grad, stop_gradient
from ..backend import backend_of
from ..parameters import known_to
from ..trees import backend_of_tree, size
from .adjoint import sde_adjoint
from .objectives import Objective, Reward
from .state import SamplerState

__all__ = ["ESTIMATORS", "estimator"]

Array = Any
Tree = Any
Estimate = Callable[[Tree, Any], Tree]

ESTIMATORS = ("unrolled", "truncated", "reinforce", "implicit", "adjoint")


def estimator(
    method: str, sampler: Any, objective: Objective, params: Tree, steps: int, truncate: int
) -> tuple[Estimate, int]:
    """Return a method as a function, and how many numbers it keeps for its backward pass."""
    batch = prod(sampler.shape)
    if method == "implicit":
        if getattr(sampler, "energy", None) is None:
            raise TypeError("`methods` must not have 'implicit' for a sampler without an energy")
        return _implicit(sampler, objective, steps), batch + size(params)
    if method == "adjoint":
        return _adjoint(sampler, objective, steps), (steps + 1) * batch + size(params)
    fn = _reward(objective, method)
    if method == "reinforce":
        return _reinforce(sampler, fn, steps), (steps + 1) * batch
    through = steps if method == "unrolled" else truncate
    return _unrolled(sampler, fn, steps, through), through * batch


def _reward(objective: Objective, method: str) -> Callable[[Array], Array]:
    """Return the weighted sum of the functions of rewards."""
    for _, term in objective.terms:
        if not isinstance(term, Reward):
            raise TypeError(
                f"`objective` must be made of Reward for {method!r}; got {type(term).__qualname__}"
            )
    parts = [(factor, term.fn) for factor, term in objective.terms if isinstance(term, Reward)]

    def total(x: Array) -> Array:
        found = parts[0][0] * parts[0][1](x)
        for factor, fn in parts[1:]:
            found = found + factor * fn(x)
        return found

    return total


def _final(sampler: Any, params: Tree, stream: Any, steps: int) -> SamplerState:
    """Return the particles after some steps, as constants."""
    state = sampler.init(stream, stop_gradient(params))
    backend = backend_of_tree((state.x, params))
    fixed = stop_gradient(params)

    def body(_: Any, state: SamplerState) -> SamplerState:
        return stop_gradient(sampler.step(state, fixed))  # type: ignore[no-any-return]

    return backend.fori_loop(0, steps, body, state)  # type: ignore[no-any-return]


def _states(sampler: Any, params: Tree, stream: Any, steps: int) -> tuple[SamplerState, Array]:
    """Return the first state, and the particles before and after each step, as constants."""
    fixed = stop_gradient(params)
    start = sampler.init(stream, fixed)
    backend = backend_of_tree((start.x, fixed))

    def fold(state: SamplerState, _: Any) -> tuple[SamplerState, Array]:
        new = stop_gradient(sampler.step(state, fixed))
        return new, new.x

    moved = backend.scan(fold, start, None, steps)[1]
    return start, backend.namespace.concat([start.x[None, ...], moved], axis=0)


def _implicit(sampler: Any, objective: Objective, steps: int) -> Estimate:
    def estimate(params: Tree, stream: Any) -> Tree:
        state = _final(sampler, params, stream, steps)
        return objective.gradient(
            sampler.energy, params, state.x, temperature=sampler.temperature, rng=stream
        )

    return estimate


def _unrolled(sampler: Any, fn: Callable[[Array], Array], steps: int, through: int) -> Estimate:
    def estimate(params: Tree, stream: Any) -> Tree:
        state = _final(sampler, params, stream, steps - through)

        def value(p: Tree) -> Array:
            backend = backend_of_tree((state.x, p))
            carry = SamplerState(known_to(backend, state.x), state.t, state.stream)
            final = backend.scan(lambda s, _: (sampler.step(s, p), s.t), carry, None, through)[0]
            rewards = fn(final.x)
            return backend_of(rewards).namespace.mean(rewards)

        return grad(value)(params)

    return estimate


def _reinforce(sampler: Any, fn: Callable[[Array], Array], steps: int) -> Estimate:
    """Return the score function of the path: sum of log N(next; mean, scale^2) times rewards."""

    def estimate(params: Tree, stream: Any) -> Tree:
        start, states = _states(sampler, params, stream, steps)
        xp = backend_of(states).namespace
        rewards = stop_gradient(fn(states[-1, ...]))
        advantage = (rewards - xp.mean(rewards)) * (1.0 / (rewards.shape[0] - 1))

        def score(p: Tree) -> Array:
            total = None
            for k in range(steps):
                mean, scale = sampler.transition(states[k, ...], start.t + k, p)
                names = backend_of(mean).namespace
                off = (known_to(backend_of(mean), states[k + 1, ...]) - mean) / scale
                axes = tuple(range(1, off.ndim))
                part = -0.5 * names.sum(off * off, axis=axes)
                total = part if total is None else total + part
            names = backend_of(total).namespace
            return names.sum(known_to(backend_of(total), advantage) * total)

        return grad(score)(params)

    return estimate


def _adjoint(sampler: Any, objective: Objective, steps: int) -> Estimate:
    if hasattr(sampler, "gradient"):
        return _path_adjoint(sampler, objective, steps)
    fn = _reward(objective, "adjoint")
    if callable(sampler.step_size) or sampler.adjust:
        raise TypeError("`methods` must not have 'adjoint' for a schedule of steps or `adjust`")

    def drift(y: Array, t: Array, p: Tree) -> Array:
        return -sampler.energy.grad_x(y, p)

    def terminal(y: Array) -> Array:
        rewards = fn(y)
        return backend_of(rewards).namespace.mean(rewards)

    def estimate(params: Tree, stream: Any) -> Tree:
        start = sampler.init(stream, params)
        return sde_adjoint(
            drift,
            params,
            start.x,
            step_size=float(sampler.step_size),
            n_steps=steps,
            terminal=terminal,
            rng=start.stream,
            temperature=sampler.temperature,
        ).gradient

    return estimate


def _path_adjoint(sampler: Any, objective: Objective, steps: int) -> Estimate:
    if steps != sampler.n_steps:
        raise ValueError(f"`steps` must be n_steps={sampler.n_steps} of the sampler; got {steps}")

    def estimate(params: Tree, stream: Any) -> Tree:
        states = _states(sampler, params, stream, steps)[1]
        return sampler.gradient(objective, params, states)[1]

    return estimate
