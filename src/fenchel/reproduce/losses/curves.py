"""Loss curves: the Fitzpatrick loss lies below the Fenchel-Young loss and has the same zeros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel import losses

from ..figures import COLORS, new_figure
from ..library import Library
from ..paper import Claim, Run

__all__ = ["claims", "curves", "draw"]

CLASSES, POINTS = 3, 801
PAIRS = {
    "sparsemax": (losses.sparsemax_loss, losses.fitzpatrick_sparsemax),
    "entmax 1.5": (losses.entmax_loss(alpha=1.5), losses.fitzpatrick_entmax(alpha=1.5)),
    "logistic": (losses.logistic, losses.fitzpatrick_logistic),
}


def curves(library: Library, classes: int = CLASSES) -> dict[str, Any]:
    """Return s in [-4, 4] and, by name, both losses of the scores (s, 0, ..., 0) at class 0.

    Examples
    --------
    >>> from fenchel.reproduce import Library
    >>> young, fitzpatrick = curves(Library.named("numpy"))["sparsemax"]
    >>> round(float(fitzpatrick[450] / young[450]), 6)  # s = 0.5
    0.5
    """
    import numpy as np

    s = np.linspace(-4.0, 4.0, POINTS)
    scores = np.zeros((POINTS, classes))
    scores[:, 0] = s
    theta, target = library.array(scores), library.integers(np.zeros(POINTS))
    drawn: dict[str, Any] = {"s": s}
    for name, pair in PAIRS.items():
        drawn[name] = tuple(library.numpy(loss(theta, target, reduction="none")) for loss in pair)
    return drawn


def claims(run: Run) -> Iterator[Claim]:
    """Yield what the curves show: order, zeros, the factor one half, the closed form."""
    import numpy as np

    drawn = curves(run.library)
    s = drawn["s"]
    run.save(draw(drawn), "curves")
    for name in PAIRS:
        young, fitzpatrick = drawn[name]
        above = float(np.max(fitzpatrick - young))
        yield Claim(f"{name}: Fitzpatrick minus Fenchel-Young loss, largest", above, "<=", 1e-6)
    young, fitzpatrick = drawn["sparsemax"]
    apart = float(np.max(np.maximum(young, fitzpatrick)[s >= 1.0]))
    yield Claim("sparsemax: both losses beyond the margin s = 1", apart, "<=", 1e-6)
    inside = (s >= 0.0) & (s < 0.99)
    half = float(np.max(np.abs(fitzpatrick[inside] / young[inside] - 0.5)))
    yield Claim("sparsemax: distance of the ratio to 1/2 on [0, 1)", half, "<=", 1e-3)
    two = curves(run.library, classes=2)["sparsemax"][1]
    wide = (s >= -3.0) & (s < 1.0)
    square = float(np.max(np.abs(two - (1.0 - s) ** 2 / 8)[wide]))
    yield Claim("two classes: distance of Fitzpatrick sparsemax to (1-s)^2/8", square, "<=", 1e-5)
    yield Claim("logistic: distance to Wright's omega", _omega_error(drawn), "<=", 1e-5)


def _omega_error(drawn: dict[str, Any]) -> float:
    """Return how far Fitzpatrick logistic is from omega(log(d - 1) - s - 1)."""
    import numpy as np
    from scipy.special import wrightomega

    exact = wrightomega(np.log(CLASSES - 1.0) - drawn["s"] - 1.0)
    return float(np.max(np.abs(drawn["logistic"][1] - exact)))


def draw(drawn: dict[str, Any]) -> Any:
    """Return the figure."""
    figure, axes = new_figure(len(PAIRS))
    for axis, name in zip(axes, PAIRS, strict=True):
        young, fitzpatrick = drawn[name]
        axis.plot(drawn["s"], young, "--", color=COLORS["hard"], label="Fenchel-Young")
        axis.plot(drawn["s"], fitzpatrick, color=COLORS["soft"], label="Fitzpatrick")
        axis.set(xlabel="s", title=name, ylim=(-0.1, 4))
    axes[0].set(ylabel="loss of (s, 0, 0) at class 0")
    axes[0].legend(frameon=False)
    return figure
