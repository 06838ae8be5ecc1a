"""Dual Gauss-Newton directions for deep learning (Roulet, Blondel, 2023).

The directions take the place of gradients in unit steps, on the handwritten digits that come with
scikit-learn. On so easy a task gradient descent with its best learning rate is as good a step for
the logistic loss, and cheaper; what the directions add is that any gamma will do.
"""

from __future__ import annotations

from ..paper import Paper
from .claims import claims, tour

__all__ = ["PAPER"]

PAPER = Paper(
    name="gauss_newton",
    title="Dual Gauss-Newton Directions for Deep Learning",
    reference="2023, arXiv 2308.08886",
    claims=claims,
    tour=tour,
)
