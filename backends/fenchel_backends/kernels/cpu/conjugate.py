"""Conjugate exponents, rounded to the whole numbers that have fast loops."""

import numpy as np

from .jit import compiled

__all__ = ["conjugate", "snapped"]


@compiled
def snapped(q: float, itemsize: int) -> float:
    """q, or the whole number it stands for up to the rounding of its dtype."""
    slack = (2e-15 if itemsize == 8 else 1e-6) * q * q
    whole = np.round(q)
    return whole if abs(q - whole) <= slack else q


@compiled
def conjugate(p: float, itemsize: int) -> float:
    """Exponent q with 1/p + 1/q = 1."""
    return snapped(p / (p - 1.0), itemsize)
