"""Digits from patches: every router learns them; what differs is how many patches it drops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.autodiff import value_and_grad
from fenchel.backend import namespace
from fenchel.losses import logistic
from fenchel.routers import importance_loss, moe, route, soft_route
from fenchel.tuners import Adam

from ..paper import Claim, Run
from .clusters import ROUTERS, Router

__all__ = ["claims"]

PATCHES, PIXELS, WIDTH, EXPERTS, HIDDEN = 16, 4, 32, 8, 64
TRAINED, BATCH, LEARNING_RATE = 1000, 50, 3e-3

Params = dict[str, Any]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the accuracy of the worst router, and the order of the unrouted shares."""
    epochs = 5 if run.quick else 20
    chosen = ("softmax token choice", "softmax expert choice", "soft")
    routers = {name: ROUTERS[name] for name in chosen} if run.quick else ROUTERS
    found = {name: _train(run, name, router, epochs) for name, router in routers.items()}
    worst = min(accuracy for accuracy, _ in found.values())
    yield Claim("digits: accuracy of the worst router", worst, ">=", 0.85 if run.quick else 0.93)
    left = {name: share for name, (_, share) in found.items()}
    ratio = left["softmax expert choice"] / left["softmax token choice"]
    yield Claim("digits: patches left out by expert choice over token choice", ratio, "<=", 1.0)
    yield Claim("digits: patches left out by soft routing", left["soft"], "<=", 0.0)


def _patches() -> tuple[Any, Any]:
    """Return the images of scikit-learn as patches of 2 by 2 pixels, and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 16.0).reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
    return images.reshape(-1, PATCHES, PIXELS), data.target


def _params(run: Run, rng: Any, router: Router) -> Params:
    shapes = {
        "embed": ((PIXELS, WIDTH), PIXELS),
        "place": ((PATCHES, WIDTH), WIDTH),
        "up": ((EXPERTS, WIDTH, HIDDEN), WIDTH),
        "down": ((EXPERTS, HIDDEN, WIDTH), HIDDEN),
        "head": ((PATCHES * WIDTH, 10), PATCHES * WIDTH),
        "router": ((WIDTH, EXPERTS) if router.options else (WIDTH, EXPERTS, 2), WIDTH),
    }
    return {
        name: run.library.array(rng.standard_normal(shape) * inputs**-0.5)
        for name, (shape, inputs) in shapes.items()
    }


def _forward(router: Router, params: Params, patches: Any, noise: Any) -> tuple[Any, Any, Any]:
    """Return scores of the classes, the routing, and its logits (None if soft)."""
    x = patches @ params["embed"] + params["place"]
    xp = namespace(x)

    def experts(buffers: Any) -> Any:
        hidden = buffers @ params["up"]
        return xp.maximum(hidden, xp.zeros_like(hidden)) @ params["down"]

    if router.options is None:
        routing: Any = soft_route(x, params["router"])
        logits = None
    else:
        logits = x @ params["router"]
        routing = route(logits, capacity=1, noise=noise, **router.options)
    answers = xp.reshape(x + moe(x, routing, experts), (-1, PATCHES * WIDTH))
    return answers @ params["head"], routing, logits


def _train(run: Run, name: str, router: Router, epochs: int) -> tuple[float, float]:
    """Return the accuracy on the images left, and the share of patches without expert."""
    import numpy as np

    rng, (images, classes) = np.random.default_rng(0), _patches()
    order = rng.permutation(len(images))
    params, adam = _params(run, rng, router), Adam()
    state = adam.init(params)

    def objective(params: Params, patches: Any, target: Any, noise: Any) -> Any:
        scores, _, logits = _forward(router, params, patches, noise if router.noisy else None)
        loss = logistic(scores, target)
        if router.noisy:
            loss = loss + 0.01 * namespace(scores).mean(importance_loss(logits))
        return loss

    def step(params: Params, state: Any, *batch: Any) -> tuple[Params, Any]:
        _, slope = value_and_grad(objective)(params, *batch)
        direction, state = adam.update(slope, state, params)
        return {n: params[n] + LEARNING_RATE * direction[n] for n in params}, state

    quick_step = run.library.compiled(step)
    for _ in run.progress(range(epochs), f"digits, {name}"):
        for chosen in rng.permutation(order[:TRAINED]).reshape(-1, BATCH):
            noise = rng.standard_normal((BATCH, PATCHES, EXPERTS)) / EXPERTS
            batch = (run.library.array(images[chosen]), run.library.integers(classes[chosen]))
            params, state = quick_step(params, state, *batch, run.library.array(noise))
    test = order[TRAINED:]
    scores, routing, logits = _forward(router, params, run.library.array(images[test]), None)
    accuracy = (run.library.numpy(scores).argmax(-1) == classes[test]).mean()
    if logits is None:
        return float(accuracy), 0.0
    return float(accuracy), float(run.library.numpy(routing.stats().unrouted).mean()) / PATCHES
