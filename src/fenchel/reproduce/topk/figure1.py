"""Figure 1: one score moves past the others; hard, p = 2 and p = 4/3 masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.operators import topk_mask

from ..figures import COLORS, new_figure
from ..library import Library
from ..paper import Claim, Run

__all__ = ["claims", "curves", "draw"]

K, TEMPERATURE, POINTS = 2, 0.6, 501
# Temperature and exponent of each curve.
MASKS = {"hard": (0.0, 2.0), "p = 2": (TEMPERATURE, 2.0), "p = 4/3": (TEMPERATURE, 4 / 3)}
STYLES = {"hard": "hard", "p = 2": "soft", "p = 4/3": "smooth"}


def curves(library: Library) -> dict[str, Any]:
    """Return s in [0, 5] and, by mask, the second plus third entry of the mask of (3, 1, s-1, s).

    Examples
    --------
    >>> from fenchel.reproduce import Library
    >>> drawn = curves(Library.named("numpy"))
    >>> round(float(drawn["p = 2"][70]), 6)  # s = 0.7
    0.75
    """
    import numpy as np

    s = np.linspace(0.0, 5.0, POINTS)
    x = library.array(np.stack([np.full_like(s, 3.0), np.ones_like(s), s - 1.0, s], axis=-1))
    masks = {
        name: library.numpy(topk_mask(x, K, temperature=temperature, p=p))
        for name, (temperature, p) in MASKS.items()
    }
    return {"s": s, **{name: y[:, 1] + y[:, 2] for name, y in masks.items()}}


def claims(run: Run) -> Iterator[Claim]:
    """Yield what the figure shows: where the masks are hard, and their values between."""
    import numpy as np

    drawn = curves(run.library)
    s = drawn["s"]
    run.save(draw(drawn), "figure1")
    # A relaxed mask is hard exactly where the gap at rank k is at least the temperature.
    apart = (s <= 0.4) | ((s >= 1.6) & (s <= 3.4)) | (s >= 4.6)
    for name in ("p = 2", "p = 4/3"):
        gap = float(np.max(np.abs(drawn[name] - drawn["hard"])[apart]))
        yield Claim(f"Figure 1, {name}: distance to hard where scores are apart", gap, "<=", 1e-5)
    tie = max(abs(float(drawn[name][i]) - 0.5) for name in ("p = 2", "p = 4/3") for i in (100, 400))
    yield Claim("Figure 1: distance to 1/2 where two scores tie", tie, "<=", 1e-5)
    for name, value in (("p = 2", 0.75), ("p = 4/3", 0.8993)):
        error = abs(float(drawn[name][70]) - value)
        yield Claim(f"Figure 1, {name}: distance to {value} at s = 0.7", error, "<=", 5e-5)


def draw(drawn: dict[str, Any]) -> Any:
    """Return the figure."""
    figure, axis = new_figure()
    for name, style in STYLES.items():
        dashes = "--" if name == "hard" else "-"
        axis.plot(drawn["s"], drawn[name], dashes, color=COLORS[style], label=name)
    axis.set(xlabel="s", ylabel="mask of (3, 1, s-1, s): entries 2 + 3", title="k = 2, l = 0.6")
    axis.legend(frameon=False)
    return figure
