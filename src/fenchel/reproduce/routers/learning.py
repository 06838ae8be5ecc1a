"""Routers head to head: which of them lets the experts learn the clusters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .clusters import ROUTERS, train

__all__ = ["claims", "tour"]


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims on the errors, means over seeds, and on the time of a router."""
    # Batch priority is worth a tenth, as much as the standard error of six seeds.
    seeds, steps = (2, 100) if run.quick else (12, 600)
    errors, left, seconds = compare(run, range(seeds), steps)
    run.save(draw(errors, left), "clusters")
    token = errors["softmax token choice"]
    sparse = min(error for name, error in errors.items() if name != "soft")
    said = "clusters: relative error over that of token choice,"
    for name, bound in (
        ("softmax expert choice", 0.8),
        ("Sinkhorn token choice", 0.8),
        ("batch-prioritized", 0.92),
    ):
        # Short runs show the order, and not yet how far apart the routers end.
        yield Claim(f"{said} {name}", errors[name] / token, "<=", 1.0 if run.quick else bound)
    if not run.quick:
        yield Claim(
            "clusters: soft over the best sparse router", errors["soft"] / sparse, "<=", 0.7
        )
    yield Claim(
        "clusters: tokens left out by expert choice over those by token choice",
        left["softmax expert choice"] / left["softmax token choice"],
        "<=",
        0.8,
    )
    said = "clusters: processor seconds a router, for six seeds"
    yield Claim(said, seconds * 6 / seeds, "<=", 10.0)


def compare(run: Run, seeds: range, steps: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Return errors and unrouted shares by router, means over seeds, and the mean time."""
    errors, left, seconds = {}, {}, 0.0
    for name, router in ROUTERS.items():
        start = time.process_time()
        found, share = train(run, router, seeds, steps, name)
        errors[name], left[name] = float(found.mean()), share
        seconds += time.process_time() - start
    return errors, left, seconds / len(ROUTERS)


def tour(run: Run) -> Claim:
    """Train the six routers for a short time, and compare expert choice with token choice."""
    errors, left, _ = compare(run, range(2), 150)
    print(f"  {'router':<24} {'error':>7} {'left out':>9}")
    for name, error in errors.items():
        print(f"  {name:<24} {error:>7.3f} {left[name]:>9.1%}")
    print(f"  figure: {run.save(draw(errors, left), 'routers')}")
    ratio = errors["softmax expert choice"] / errors["softmax token choice"]
    return Claim("error with expert choice over that with token choice", ratio, "<=", 0.9)


def draw(errors: dict[str, float], left: dict[str, float]) -> Any:
    """Return the figure of errors and of tokens that reach no expert."""
    figure, axes = new_figure(2)
    names = list(errors)
    for axis, values, title in (
        (axes[0], errors, "relative error"),
        (axes[1], left, "tokens left out"),
    ):
        colors = [COLORS["smooth" if name == "soft" else "soft"] for name in names]
        axis.barh(names, [values[name] for name in names], color=colors)
        axis.invert_yaxis()
        axis.set(title=title)
    axes[1].set_yticklabels([])
    return figure
