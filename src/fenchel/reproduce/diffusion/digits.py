"""R6: a denoiser of handwritten digits, tuned for bright images without leaving the digits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from fenchel.diffusion import DenoisingSampler, Descent, ImplicitDiffusion, PathKL, Reward
from fenchel.tuners import Adam

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from . import rivals
from .score import HORIZON, STEPS, pretrained, score
from .sheets import BATCH, RATE, UPDATES, Sheet, brightness, drawn

__all__ = ["claims", "tour"]


def tuned(
    run: Run, params: Any, ratio: float, *, queue: int = 4, updates: int = UPDATES
) -> tuple[Any, Any]:
    """Return the parameters that trade `ratio` times the brightness for the path, and the course.

    A queue of M gives its first update after M - 1 steps; there are as many updates for each M.
    """
    sampler = DenoisingSampler(score, HORIZON, STEPS, shape=(BATCH, 64))
    objective = -Reward(brightness) + PathKL(lambda y, t: score(y, t, params)) * (1.0 / ratio)
    loop = ImplicitDiffusion(sampler, objective, Descent(RATE, Adam()), queue=queue)
    state = loop.init(0, params)
    done, course = loop.run(state, updates + queue - 1)
    return done.params, course.value


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R6."""
    if run.quick:
        yield from _quick(run)
        return
    first = pretrained(run, 6000)
    sheets = {"pretrained": drawn(run, first, first)}
    for ratio in (10.0, 33.0, 100.0):
        params, _ = tuned(run, first, ratio)
        sheets[f"{ratio:g}"] = drawn(run, params, first)
    bright = sheets["100"]
    yield Claim("digits: brightness at reward over divergence 100", bright.brightness, ">=", 0.43)
    yield Claim("digits: and not more", bright.brightness, "<=", 0.49)
    yield Claim("digits: divergence of the paths from the pretrained", bright.path_kl, "<=", 9.0)
    yield Claim("digits: classes among 500 images, of ten", bright.classes, ">=", 10)
    _figure(run, sheets)
    steps = [sheet.brightness for sheet in sheets.values()]
    rise = min(b - a for a, b in pairwise(steps))
    yield Claim("digits: rise of the brightness from 0 to 10, 33 and 100, least", rise, ">=", 0.0)
    yield from _staleness(run, first)
    yield from rivals.claims(run, first, bright)
    params, _ = tuned(run, first, 333.0, updates=300)
    lost = drawn(run, params, first)
    yield Claim("digits: at 333 the digits are lost, divergence", lost.path_kl, ">=", 50.0)
    yield Claim("digits: and classes among 500 images, of ten", lost.classes, "<=", 3)


def _quick(run: Run) -> Iterator[Claim]:
    """Yield what a denoiser trained for seconds can show."""
    first = pretrained(run, 400, batch=128)
    params, _ = tuned(run, first, 10.0, updates=40)
    before, after = drawn(run, first, first, 200), drawn(run, params, first, 200)
    rise = after.brightness - before.brightness
    yield Claim("digits: rise of the brightness at reward over divergence 10", rise, ">=", 0.002)
    yield Claim("digits: and the divergence of the paths", after.path_kl, "<=", 0.2)


def _staleness(run: Run, first: Any) -> Iterator[Claim]:
    found = [drawn(run, tuned(run, first, 100.0, queue=m)[0], first) for m in (1, 16)]
    apart = abs(found[0].brightness - found[1].brightness)
    yield Claim("digits: brightness of a queue of 16 against none, apart", apart, "<=", 0.01)


def _figure(run: Run, sheets: dict[str, Sheet]) -> None:
    figure, axes = new_figure(len(sheets))
    for axis, (name, sheet) in zip(axes, sheets.items(), strict=True):
        rows = sheet.images[:48].reshape(6, 8, 8, 8).transpose(0, 2, 1, 3)
        axis.imshow(rows.reshape(48, 64), cmap="gray", vmin=-1, vmax=1)
        label = name if name == "pretrained" else f"reward / divergence {name}"
        axis.set_title(f"{label}: {sheet.brightness:.3f}", color=COLORS["hard"], fontsize=9)
        axis.set_axis_off()
    run.save(figure, "diffusion_digits")


def tour(run: Run) -> Claim:
    """Show digits before and after they were tuned for brightness."""
    first = pretrained(run, 2000, batch=128)
    params, _ = tuned(run, first, 100.0)
    before, after = drawn(run, first, first), drawn(run, params, first)
    _figure(run, {"pretrained": before, "100": after})
    ratio = after.brightness / before.brightness
    classes = after.classes
    return Claim(
        f"brightness of digits tuned through the sampler, over the pretrained's ({classes} of ten "
        f"classes kept, path divergence {after.path_kl:.1f})",
        ratio,
        ">=",
        1.35,
    )
