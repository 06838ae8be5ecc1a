"""Real powers."""

from .jit import compiled

__all__ = ["power"]


@compiled
def power(u: float, exponent: float) -> float:
    """u to a real exponent for u >= 0."""
    return u**exponent
