"""Figures that no experiment belongs to: projections in the plane, links of two classes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fenchel import convex, regularizers

SETS = {
    "L1Ball": convex.L1Ball(1.0),
    "L2Ball": convex.L2Ball(1.0),
    "Simplex": convex.Simplex(),
    "Knapsack": convex.Knapsack(np.asarray([1.0, 2.0]), 1.5),
    "Halfspace": convex.Halfspace(np.asarray([1.0, 1.0]), 0.5),
    "Permutahedron": convex.Permutahedron(np.asarray([1.0, 0.25])),
}
REGULARIZERS = {
    "Shannon": regularizers.Shannon(),
    "Tsallis(1.5)": regularizers.Tsallis(1.5),
    "Gini": regularizers.Gini(),
    "NormEntropy(2.0)": regularizers.NormEntropy(2.0),
    'FDivergence("reverse_kl")': regularizers.FDivergence("reverse_kl"),
}


def write(folder: Path) -> None:
    """Write both figures into `folder`."""
    projections().savefig(folder / "sets.png", dpi=120)
    links().savefig(folder / "regularizers.png", dpi=120)


def projections() -> Figure:
    """Points of a circle around the origin, and the nearest point of each set."""
    angle = np.linspace(0.0, 2.0 * np.pi, 49)[:-1]
    points = 1.8 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(2, 3).ravel(), SETS.items(), strict=True):
        nearest = found.project(points)
        ends = np.stack([points, nearest], axis=1)
        for start, end in ends:
            axes.plot(*np.stack([start, end], axis=-1), color="0.8", linewidth=0.8, zorder=0)
        axes.scatter(*points.T, s=8, color="0.6")
        axes.scatter(*nearest.T, s=14, color="C0")
        axes.set(title=name, aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
    return figure


def links() -> Figure:
    """The share of the first of two classes, by the difference of their scores."""
    s = np.linspace(-3.0, 3.0, 301)
    scores = np.stack([s, np.zeros_like(s)], axis=-1)
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, own in REGULARIZERS.items():
        axes.plot(s, own.argmax(scores)[:, 0], label=name)
    axes.set(xlabel="score of the first class minus that of the second", ylabel="its share")
    axes.legend()
    return figure
