"""The sets of five dimensions that tests run over, each with points that are surely in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog

from fenchel import convex

NORMAL = np.array([1.0, -2.0, 0.5, 0.0, 1.5])
MATRIX = np.array([[1.0, 0.0, 2.0, -1.0, 0.0], [0.0, 1.0, 1.0, 1.0, -3.0]])
OFFSET = np.array([0.5, -1.0])
LOWER = np.array([-1.0, 0.0, -0.5, 0.2, -2.0])
UPPER = np.array([1.0, 0.5, 2.0, 0.8, 0.0])
SIGNED = np.array([1.0, -2.0, 0.5, 0.0, 1.5])
WEIGHTS = np.array([1.0, 2.0, 0.5, 0.0, 1.5])


@dataclass(frozen=True)
class Entry:
    """How to build a set from arrays made by `array`, and to draw points of it."""

    build: Callable[[Callable[[Any], Any]], Any]
    draw: Callable[[Any, int], Any]
    bounded: bool = True
    outside: Any = (9.0, 9.0, 9.0, 9.0, 9.0)


def ball(order, radius):
    def draw(rng, count):
        points = rng.normal(size=(count, 5))
        norms = np.linalg.norm(points, ord=order, axis=-1, keepdims=True)
        sizes = radius * rng.choice([1.0, 0.3], size=(count, 1))
        return points / norms * sizes

    return draw


def halfspace(rng, count):
    points = 3 * rng.normal(size=(count, 5))
    over = np.maximum(points @ NORMAL - 0.7, 0.0)
    points[:, 0] -= over  # the first entry of the normal is 1
    return points


def affine(rng, count):
    particular = np.linalg.lstsq(MATRIX, OFFSET, rcond=None)[0]
    return particular + 3 * rng.normal(size=(count, 3)) @ null_space(MATRIX).T


def cone(rng, count):
    points = rng.normal(size=(count, 5))
    slack = rng.choice([0.0, 0.5], size=count)
    points[:, 4] = np.linalg.norm(points[:, :4], axis=-1) + slack
    return points


def vertices(weights, total, bounds, equality):
    """Mixtures of vertices that a linear program finds."""

    def draw(rng, count):
        named = {"A_eq" if equality else "A_ub": weights[None], "bounds": bounds}
        named["b_eq" if equality else "b_ub"] = [total]
        corners = [linprog(c, **named, method="highs-ds").x for c in rng.normal(size=(24, 5))]
        mixtures = rng.dirichlet(0.2 * np.ones(24), size=count)
        return mixtures @ np.array(corners)

    return draw


BOX = list(zip(LOWER, UPPER, strict=True))
UNIT = [(0.0, 1.0)] * 5
SETS = {
    "reals": Entry(lambda _: convex.Reals(), lambda r, m: r.normal(size=(m, 5)), False, None),
    "non-negative": Entry(
        lambda _: convex.NonNegative(),
        lambda r, m: np.maximum(r.normal(size=(m, 5)), 0),
        False,
        (1.0, 1.0, -1.0, 1.0, 1.0),
    ),
    "l1 ball": Entry(lambda _: convex.L1Ball(1.5), ball(1, 1.5)),
    "l2 ball": Entry(lambda _: convex.L2Ball(1.5), ball(2, 1.5)),
    "linf ball": Entry(lambda _: convex.LInfBall(0.6), ball(np.inf, 0.6)),
    "half-space": Entry(lambda a: convex.Halfspace(a(NORMAL), 0.7), halfspace, False),
    "affine": Entry(lambda a: convex.Affine(a(MATRIX), a(OFFSET)), affine, False),
    "second-order cone": Entry(
        lambda _: convex.SecondOrderCone(), cone, False, (1.0, 1.0, 1.0, 1.0, 1.0)
    ),
    "box section": Entry(
        lambda a: convex.BoxSection(a(LOWER), a(UPPER), a(SIGNED), 0.3),
        vertices(SIGNED, 0.3, BOX, True),
    ),
    "knapsack": Entry(
        lambda a: convex.Knapsack(a(WEIGHTS), 1.2), vertices(WEIGHTS, 1.2, UNIT, False)
    ),
    "knapsack, equal weights": Entry(
        lambda _: convex.Knapsack(0.5, 1.2), vertices(np.full(5, 0.5), 1.2, UNIT, False)
    ),
}
