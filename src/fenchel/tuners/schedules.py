"""Learning rates as functions of the step t = 0, 1, ...

The functions take Python numbers or arrays, and are hashable: two with equal arguments are equal,
so that a tuner made of one is the same under jit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..arrays import check_integer, check_number
from ..backend import backend_of
from ..trees import is_array

__all__ = ["inverse_sqrt", "warmup_constant", "warmup_cosine", "warmup_stable_decay"]

Scalar = Any


def warmup_constant(peak: float, warmup: int) -> _Schedule:
    """Return a linear rise over `warmup` steps, then `peak`.

    Parameters
    ----------
    peak
        Largest learning rate.
    warmup
        Number of steps of the rise, at least 0: peak (t + 1) / warmup, never 0.

    Returns
    -------
    callable
        Function of the step.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> [warmup_constant(1.0, 4)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return _Schedule("constant", _peak(peak), _steps("warmup", warmup))


def warmup_cosine(peak: float, warmup: int, total: int, *, end: float = 0.0) -> _Schedule:
    """Return a linear rise, then half a period of a cosine down to `end` at step `total`.

    Parameters
    ----------
    peak, warmup
        As for `warmup_constant`.
    total
        Step at which `end` is reached, and held; above `warmup`.
    end
        Last learning rate.

    Returns
    -------
    callable
        Function of the step.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> schedule = warmup_cosine(1.0, 2, 6)
    >>> [round(schedule(t), 3) for t in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    _steps("total", total, warmup + 1)
    check_number("end", end, minimum=0.0)
    return _Schedule("cosine", _peak(peak), _steps("warmup", warmup), total=total, end=end)


def inverse_sqrt(peak: float, warmup: int = 0) -> _Schedule:
    """Return a linear rise, then peak sqrt(warmup / (t + 1)); peak / sqrt(t + 1) without a rise.

    Parameters
    ----------
    peak, warmup
        As for `warmup_constant`.

    Returns
    -------
    callable
        Function of the step.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> [round(inverse_sqrt(1.0, 4)(t), 3) for t in (0, 3, 15)]
    [0.25, 1.0, 0.5]
    """
    return _Schedule("inverse_sqrt", _peak(peak), _steps("warmup", warmup))


def warmup_stable_decay(
    peak: float, warmup: int, total: int, *, decay: int, end: float = 0.0
) -> _Schedule:
    """Return a linear rise, a plateau, and a linear fall over the last `decay` steps.

    Parameters
    ----------
    peak, warmup
        As for `warmup_constant`.
    total
        Step at which `end` is reached, and held.
    decay
        Length of the fall; warmup + decay is at most `total`.
    end
        Last learning rate.

    Returns
    -------
    callable
        Function of the step.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> schedule = warmup_stable_decay(1.0, 2, 8, decay=4)
    >>> [schedule(t) for t in range(9)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    _steps("decay", decay, 1)
    _steps("total", total, warmup + decay)
    check_number("end", end, minimum=0.0)
    return _Schedule("decay", _peak(peak), _steps("warmup", warmup), total, end, decay)


def _peak(peak: float) -> float:
    return check_number("peak", peak, above=0.0, maximum=1e300)


def _steps(name: str, value: int, minimum: int = 0) -> int:
    return check_integer(name, value, minimum=minimum)


@dataclass(frozen=True)
class _Schedule:
    kind: str
    peak: float
    warmup: int
    total: int = 0
    end: float = 0.0
    decay: int = 0

    def __call__(self, t: Scalar) -> Scalar:
        """Return the learning rate of step `t`."""
        xp, t = _namespace(t)
        rise = 1.0 if self.warmup == 0 else xp.minimum((t + 1.0) / self.warmup, 1.0)
        return self.peak * rise if self.kind == "constant" else self._after(xp, t, rise)

    def _after(self, xp: Any, t: Scalar, rise: Scalar) -> Scalar:
        if self.kind == "inverse_sqrt":
            start = max(self.warmup, 1)
            return self.peak * rise * xp.sqrt(start / xp.maximum(t + 1.0, start))
        length = self.decay or self.total - self.warmup
        share = xp.minimum(xp.maximum((t - (self.total - length)) / length, 0.0), 1.0)
        fall = (1.0 + xp.cos(math.pi * share)) / 2.0 if self.kind == "cosine" else 1.0 - share
        return rise * (self.end + (self.peak - self.end) * fall)


class _Numbers:
    """What the schedules need of a namespace, on Python numbers."""

    sqrt, cos = staticmethod(math.sqrt), staticmethod(math.cos)
    minimum, maximum = staticmethod(min), staticmethod(max)


class _Arrays:
    """The same on arrays, next to Python numbers."""

    def __init__(self, xp: Any, model: Any) -> None:
        self._xp, self._model = xp, model
        self.sqrt, self.cos = xp.sqrt, xp.cos

    def minimum(self, a: Any, b: float) -> Any:
        return self._xp.minimum(a, self._xp.full_like(self._model, b))

    def maximum(self, a: Any, b: float) -> Any:
        return self._xp.maximum(a, self._xp.full_like(self._model, b))


def _namespace(t: Scalar) -> tuple[Any, Scalar]:
    if not is_array(t):
        return _Numbers, t
    xp = backend_of(t).namespace
    if not xp.isdtype(t.dtype, "real floating"):
        # Steps up to 2**24 are exact; float64 is not on by default everywhere.
        t = xp.astype(t, xp.float32 if t.dtype == xp.int32 else xp.asarray(0.0).dtype)
    return _Arrays(xp, t), t
