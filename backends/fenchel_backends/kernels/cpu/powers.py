"""Real powers as vector code."""

from .elementary import LOWEST64, exp64, log64
from .jit import inlined

__all__ = ["power"]

_TINY = 1e-290


@inlined
def power(u: float, exponent: float) -> float:
    """u to a real exponent for u >= 0, where u = 0 and powers below 1e-307 stand for a tiny number.

    Relative error 1e-15 times ``1 + |exponent log u|``; a seventh of the time of a library call.
    """
    value: float = exp64(max(exponent * log64(max(u, _TINY)), LOWEST64))
    return value
