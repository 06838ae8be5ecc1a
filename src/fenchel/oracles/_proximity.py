"""The quadratic that keeps a direction short: |d|^2/(2 gamma) in a metric, and weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..backend import Backend
from ..trees import dot

__all__ = ["Proximity", "proximity"]

Array = Any
Vector = list[Any]


@dataclass(frozen=True)
class Proximity:
    r"""The diagonal N of \|d\|_N^2/2 + decay <w, d>: metric / gamma + decay.

    Parameters
    ----------
    scale
        1/gamma' of the plain metric, so that N = scale; None if N varies over the parameters.
    diagonal
        The leaves of N otherwise.
    decay
        Weight decay; None for none.
    """

    scale: Any
    diagonal: Vector | None
    decay: Any

    def apply(self, d: Vector) -> Vector:
        """Return N d."""
        if self.diagonal is None:
            return [self.scale * x for x in d]
        return [n * x for n, x in zip(self.diagonal, d, strict=True)]

    def solve(self, b: Vector) -> Vector:
        """Return N^-1 b."""
        if self.diagonal is None:
            return [x / self.scale for x in b]
        return [x / n for n, x in zip(self.diagonal, b, strict=True)]

    def square(self, d: Vector) -> Array:
        """Return <d, N d>."""
        return dot(d, self.apply(d))

    def dual_square(self, b: Vector) -> Array:
        """Return <b, N^-1 b>."""
        return dot(b, self.solve(b))


def proximity(
    backend: Backend, gamma: Any, metric: Any, decay: Any, leaves: Vector, like: Array
) -> Proximity:
    """Return the proximity term of an oracle, in the dtype of `like`.

    Raises
    ------
    ValueError
        If `metric` is not shaped like the parameters.
    """
    xp = backend.namespace
    inverse = 1.0 / _scalar(backend, gamma, like)
    none = isinstance(decay, int | float) and decay == 0
    decay = None if none else _scalar(backend, decay, like)
    if metric is None:
        return Proximity(inverse if none else inverse + decay, None, decay)
    found = backend.tree_flatten(metric)[0]
    if [tuple(x.shape) for x in found] != [tuple(x.shape) for x in leaves]:
        raise ValueError(
            f"`metric` must have leaves of the shapes {[tuple(x.shape) for x in leaves]} of "
            f"`params`; got {[tuple(x.shape) for x in found]}"
        )
    diagonal = [xp.astype(x, like.dtype) * inverse for x in found]
    return Proximity(None, diagonal if none else [x + decay for x in diagonal], decay)


def _scalar(backend: Backend, value: Any, like: Array) -> Any:
    """Return a number as it is, a 0-d array in the dtype of `like`."""
    if isinstance(value, int | float):
        return float(value)
    return backend.namespace.astype(value, like.dtype)
