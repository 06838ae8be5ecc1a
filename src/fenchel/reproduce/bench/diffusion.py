"""Steps of samplers against NumPy, and gradients through samplers against unrolled loops.

The loops of the peers are written in the library's own terms: `torch.autograd` over a Python loop,
`jax.grad` over `jax.lax.scan`. T = 1000 is in `fenchel reproduce diffusion`, with memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.backend import namespace
from fenchel.diffusion import (
    GaussianMixture,
    LangevinSampler,
    MLPEnergy,
    implicit_gradient,
    sde_adjoint,
)
from fenchel.random import RandomStream
from fenchel.reproduce.library import Library

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "Langevin steps, and gradients through samplers (theirs over ours)"
_STEP = 0.01


def cases(quick: bool) -> Iterator[Case]:
    """Yield fused steps against NumPy, then gradients on each library that is installed."""
    for dtype in ("float64",) if quick else ("float64", "float32"):
        yield _mixture_step(dtype)
        yield _network_step(dtype)
    steps = 20 if quick else 100
    if installed("torch") is not None:
        yield from _gradients(Library.named("torch"), _torch_unrolled, steps)
    if installed("jax") is not None:
        yield from _gradients(Library.named("jax"), _jax_unrolled, steps)


def _mixture_step(dtype: str) -> Case:
    """Six components, 100 000 particles of dimension 2, the noise drawn."""
    import numpy as np

    angle = np.arange(6) * np.pi / 3
    means = (4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(dtype)
    logits = np.asarray([1.5, 0, 1.5, 0, 1.5, 0], dtype)
    sampler = LangevinSampler(GaussianMixture(means), step_size=0.2, shape=(100_000, 2))
    state = sampler.init(0, logits)
    rng: Any = np.random.default_rng(0)  # a dtype by its name, which its annotations do not know
    step, scale = np.asarray(0.2, dtype), np.asarray(0.4**0.5, dtype)

    def peer(x: Any) -> Any:
        heights = logits - 0.5 * np.sum((x[:, None] - means) ** 2, axis=-1)
        share = np.exp(heights - heights.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        noise = rng.standard_normal(x.shape, dtype)
        return x - step * (x - share @ means) + scale * noise

    ours = Contender("fenchel", lambda s: sampler.step(s, logits), [state])
    return Case(f"step of a mixture, n = 1e5, d = 2, {dtype}", ours, (_numpy(peer, state.x),))


def _network_step(dtype: str) -> Case:
    """A network 2-64-64-1, 100 000 particles, the noise drawn; its gradient written by hand."""
    import numpy as np

    energy = MLPEnergy((64, 64))
    params = energy.init(0, 2, like=np.zeros(1, dtype))
    sampler = LangevinSampler(energy, step_size=_STEP, shape=(100_000, 2))
    state = sampler.init(0, params)
    rng: Any = np.random.default_rng(0)
    (w1, b1), (w2, b2), (w3, _) = params
    step, scale = np.asarray(_STEP, dtype), np.asarray((2 * _STEP) ** 0.5, dtype)

    def peer(x: Any) -> Any:
        h1 = np.tanh(x @ w1 + b1)
        h2 = np.tanh(h1 @ w2 + b2)
        slope = (((w3[:, 0] * (1 - h2 * h2)) @ w2.T) * (1 - h1 * h1)) @ w1.T + x
        return x - step * slope + scale * rng.standard_normal(x.shape, dtype)

    ours = Contender("fenchel", lambda s: sampler.step(s, params), [state])
    return Case(f"step of a network, n = 1e5, d = 2, {dtype}", ours, (_numpy(peer, state.x),))


def _numpy(f: Callable[[Any], Any], x: Any) -> Contender:
    return Contender("NumPy", f, [x])


def _reward(x: Any) -> Any:
    return -0.5 * namespace(x).sum((x - 1.0) ** 2, axis=-1)


def _gradients(library: Library, unrolled: Any, steps: int) -> Iterator[Case]:
    """Yield nested implicit gradients, joint ones and adjoints against the unrolled loop."""
    import numpy as np

    energy = MLPEnergy((64, 64))
    like = library.backend.from_host(np.zeros(1, np.float32))
    params = energy.init(0, 2, like=like)
    x = RandomStream(1).normal((256, 2), like=like)
    sampler = LangevinSampler(energy, step_size=_STEP, shape=(256, 2))

    def implicit(params: Any, count: int = steps) -> Any:
        state = sampler.init(0, params, start=x)
        move = lambda _, state: sampler.step(state, params)  # noqa: E731
        state = library.backend.fori_loop(0, count, move, state)
        return implicit_gradient(energy, params, state.x, _reward(state.x))

    def adjoint(params: Any) -> Any:
        return sde_adjoint(
            lambda x, t, p: -energy.grad_x(x, p), params, x, step_size=_STEP, n_steps=steps,
            terminal=lambda x: namespace(x).mean(_reward(x)), rng=RandomStream(0, step=1),
        ).gradient  # fmt: skip

    peer = Contender("unrolled", unrolled(steps, x), [params])
    ways = {
        "nested implicit gradient": implicit,
        "joint implicit gradient": lambda params: implicit(params, 1),
        "discrete adjoint": adjoint,
    }
    for name, f in ways.items():
        ours = Contender("fenchel", _finished(library, f), [params])
        yield Case(f"{library.name}: {name}, T = {steps}", ours, (peer,))


def _finished(library: Library, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `f` compiled on JAX, and returning only when the result is there."""
    run = library.compiled(f)
    if library.name != "jax":
        return run
    return lambda params: [leaf.block_until_ready() for layer in run(params) for leaf in layer]


def _torch_unrolled(steps: int, x: Any) -> Callable[[Any], Any]:
    torch = installed("torch")
    assert torch is not None

    def slope(x: Any, layers: Any) -> Any:
        y = x
        for weight, bias in layers[:-1]:
            y = torch.tanh(y @ weight + bias)
        energy = (y @ layers[-1][0] + layers[-1][1]).sum() + 0.5 * (x * x).sum()
        return torch.autograd.grad(energy, x, create_graph=True)[0]

    def gradient(params: Any) -> Any:
        layers = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in params]
        y = x.clone().requires_grad_()
        for _ in range(steps):
            y = y - _STEP * slope(y, layers) + (2 * _STEP) ** 0.5 * torch.randn_like(y)
        value = (-0.5 * ((y - 1.0) ** 2).sum(-1)).mean()
        leaves = [leaf for layer in layers for leaf in layer]
        return torch.autograd.grad(value, leaves, allow_unused=True)

    return gradient


def _jax_unrolled(steps: int, x: Any) -> Callable[[Any], Any]:
    jax = installed("jax")
    assert jax is not None
    jnp = jax.numpy

    def energy(x: Any, layers: Any) -> Any:
        y = x
        for weight, bias in layers[:-1]:
            y = jnp.tanh(y @ weight + bias)
        return (y @ layers[-1][0] + layers[-1][1]).sum() + 0.5 * (x * x).sum()

    def value(layers: Any) -> Any:
        def step(y: Any, key: Any) -> Any:
            noise = jax.random.normal(key, y.shape, y.dtype)
            return y - _STEP * jax.grad(energy)(y, layers) + (2 * _STEP) ** 0.5 * noise, None

        y, _ = jax.lax.scan(step, x, jax.random.split(jax.random.key(0), steps))
        return (-0.5 * ((y - 1.0) ** 2).sum(-1)).mean()

    run = jax.jit(jax.grad(value))
    return lambda layers: jax.block_until_ready(run(layers))
