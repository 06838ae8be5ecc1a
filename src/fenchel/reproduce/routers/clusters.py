"""Tokens in clusters of unequal size, each with a linear map of its own to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fenchel.autodiff import value_and_grad
from fenchel.backend import namespace
from fenchel.routers import importance_loss, moe, route, soft_route
from fenchel.tuners import Adam

from ..paper import Run

__all__ = ["ROUTERS", "Clusters", "Router", "train"]

CLUSTERS, EXPERTS, WIDTH, HIDDEN, TOKENS, ROWS = 8, 8, 16, 32, 32, 4
LEARNING_RATE, IMPORTANCE = 5e-3, 0.01

Params = dict[str, Any]


@dataclass(frozen=True)
class Router:
    """A router of the comparison: options of `route`, or None for soft routing."""

    options: dict[str, Any] | None
    noisy: bool = False  # with noise of scale 1 / m and the importance loss while training


ROUTERS = {
    "softmax token choice": Router({"method": "softmax_token_choice"}, noisy=True),
    "batch-prioritized": Router({"method": "batch_prioritized"}, noisy=True),
    "Sinkhorn token choice": Router({"method": "sinkhorn_token_choice"}, noisy=True),
    "softmax expert choice": Router({"method": "softmax_expert_choice"}),
    "Sinkhorn expert choice": Router({"method": "sinkhorn_expert_choice"}),
    "soft": Router(None),
}


class Clusters:
    """The task, once a seed; what is drawn depends on the seeds alone.

    Cluster r has a prior proportional to 1 / r, a centre of norm about 3 and a matrix A; tokens are
    close to their centre, targets A x.
    """

    def __init__(self, seeds: range) -> None:
        import numpy as np

        self.seeds = len(seeds)
        self._rngs = [np.random.default_rng(seed) for seed in seeds]
        prior = 1.0 / np.arange(1, CLUSTERS + 1)
        self._bounds = np.cumsum(prior / prior.sum(), dtype="float32")[:-1]
        self._centres = self._normal(CLUSTERS, WIDTH) * (3.0 / WIDTH**0.5)
        self._maps = self._normal(WIDTH, CLUSTERS * WIDTH) / WIDTH**0.5

    def _normal(self, *shape: int) -> Any:
        import numpy as np

        return np.stack([rng.standard_normal(shape, dtype="float32") for rng in self._rngs])

    def draw(self, groups: int) -> tuple[Any, Any]:
        """Return tokens and targets, (seeds, groups, tokens, width), as NumPy arrays."""
        import numpy as np

        uniform = np.stack([rng.random((groups, TOKENS), dtype="float32") for rng in self._rngs])
        cluster = np.searchsorted(self._bounds, uniform)
        seed = np.arange(self.seeds)[:, None, None]
        x = self._centres[seed, cluster] + np.float32(0.3) * self._normal(groups, TOKENS, WIDTH)
        # Every map of every token in one product; the one of its cluster is chosen.
        each = x.reshape(self.seeds, -1, WIDTH) @ self._maps
        each = each.reshape(self.seeds, -1, CLUSTERS, WIDTH)
        tokens = np.arange(groups * TOKENS)
        chosen = each[np.arange(self.seeds)[:, None], tokens, cluster.reshape(self.seeds, -1)]
        return x, chosen.reshape(x.shape)

    def noise(self, groups: int) -> Any:
        """Return the noise of a step's logits."""
        return self._normal(groups, TOKENS, EXPERTS) / EXPERTS

    def params(self, run: Run, router: Router) -> Params:
        """Return initial parameters, those of every seed."""
        import numpy as np

        zeros = (
            np.zeros((self.seeds, EXPERTS, 1, HIDDEN)),
            np.zeros((self.seeds, EXPERTS, 1, WIDTH)),
        )
        params = {
            "up": self._normal(EXPERTS, WIDTH, HIDDEN) * (2.0 / WIDTH) ** 0.5,
            "up_bias": zeros[0],
            "down": self._normal(EXPERTS, HIDDEN, WIDTH) / HIDDEN**0.5,
            "down_bias": zeros[1],
        }
        if router.options is None:
            params["slots"] = self._normal(WIDTH, EXPERTS, ROWS) / WIDTH**0.5
            params["scale"] = np.ones((self.seeds, 1, 1, 1))
        else:
            params["router"] = self._normal(WIDTH, EXPERTS) / WIDTH**0.5
        return {name: run.library.array(value) for name, value in params.items()}


def experts(params: Params) -> Callable[[Any], Any]:
    """Return the perceptrons with a hidden layer, of all seeds at once."""

    def apply(buffers: Any) -> Any:
        xp = namespace(buffers)
        seeds, groups, m, rows, width = buffers.shape
        by_expert = xp.permute_dims(buffers, (0, 2, 1, 3, 4))
        flat = xp.reshape(by_expert, (seeds, m, groups * rows, width))
        hidden = xp.matmul(flat, params["up"]) + params["up_bias"]
        hidden = xp.maximum(hidden, xp.zeros_like(hidden))
        out = xp.matmul(hidden, params["down"]) + params["down_bias"]
        by_expert = xp.reshape(out, (seeds, m, groups, rows, width))
        return xp.permute_dims(by_expert, (0, 2, 1, 3, 4))

    return apply


def route_tokens(router: Router, params: Params, x: Any, noise: Any = None) -> tuple[Any, Any]:
    """Return the routing, and the logits without noise (None if soft)."""
    xp = namespace(x, params["up"])
    seeds, groups, tokens, width = x.shape
    if router.options is None:
        slots = xp.broadcast_to(
            params["slots"][:, None, ...], (seeds, groups, WIDTH, EXPERTS, ROWS)
        )
        return soft_route(x, slots, logit_scale=params["scale"][..., None]), None
    flat = xp.matmul(xp.reshape(x, (seeds, groups * tokens, width)), params["router"])
    logits = xp.reshape(flat, (seeds, groups, tokens, EXPERTS))
    return route(logits, capacity=ROWS, noise=noise, **router.options), logits


def train(run: Run, router: Router, seeds: range, steps: int, title: str) -> tuple[Any, float]:
    """Return the relative squared error of each seed after training, and the unrouted share."""
    task = Clusters(seeds)
    params = task.params(run, router)
    adam = Adam()
    state = adam.init(params)

    def objective(params: Params, x: Any, y: Any, noise: Any) -> Any:
        routing, logits = route_tokens(router, params, x, noise if router.noisy else None)
        xp = namespace(params["up"])
        error = moe(x, routing, experts(params)) - y
        loss = xp.sum(xp.mean(error * error, axis=(1, 2, 3)))
        if router.noisy:
            loss = loss + IMPORTANCE * xp.sum(xp.mean(importance_loss(logits), axis=1))
        return loss

    def step(params: Params, state: Any, x: Any, y: Any, noise: Any) -> tuple[Params, Any]:
        _, slope = value_and_grad(objective)(params, x, y, noise)
        direction, state = adam.update(slope, state, params)
        moved = {name: params[name] + LEARNING_RATE * direction[name] for name in params}
        return moved, state

    quick_step = run.library.compiled(step)
    for _ in run.progress(range(steps), title):
        x, y = task.draw(32)
        batch = (run.library.array(values) for values in (x, y, task.noise(32)))
        params, state = quick_step(params, state, *batch)
    return test(run, router, params, task)


def test(run: Run, router: Router, params: Params, task: Clusters) -> tuple[Any, float]:
    """Return relative squared errors on fresh groups, and the share of tokens without expert."""
    values, targets = task.draw(100 if run.quick else 500)

    def answer(params: Params, x: Any) -> tuple[Any, Any]:
        routing, _ = route_tokens(router, params, x)
        left = None if router.options is None else routing.stats().unrouted
        return moe(x, routing, experts(params)), left

    answers, left = run.library.compiled(answer)(params, run.library.array(values))
    squares = (run.library.numpy(answers) - targets) ** 2
    error = squares.mean((1, 2, 3)) / (targets**2).mean((1, 2, 3))
    return error, 0.0 if left is None else float(run.library.numpy(left).mean()) / TOKENS
