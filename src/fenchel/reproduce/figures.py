"""How figures look: drawn without a display, in the same few colours everywhere."""

from __future__ import annotations

from typing import Any

__all__ = ["COLORS", "new_figure"]

COLORS = {"hard": "#6b7280", "soft": "#2563eb", "smooth": "#d97706", "reference": "#059669"}


def new_figure(panels: int = 1, *, height: float = 3.2) -> tuple[Any, Any]:
    """Return a figure and its axes (one, or an array of `panels` side by side).

    Examples
    --------
    >>> figure, axis = new_figure()
    >>> axis.get_title()
    ''
    """
    # A Figure of its own, not pyplot's: no display, no global state, nothing to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * panels, height), layout="constrained")
    axes = figure.subplots(1, panels)
    for axis in [axes] if panels == 1 else axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes
