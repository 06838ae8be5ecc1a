"""What a transformation of an operator is: it takes a probe and gives a known quantity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import namespace

__all__ = ["ORDERS", "Probe", "Transformation"]

Array = Any

# Order of derivatives that a quantity needs.
ORDERS = {
    "value": 0,
    "values": 0,
    "shape": 0,
    "jvp": 1,
    "vjp": 1,
    "vjps": 1,
    "jacobian": 1,
    "passes": 1,
    "hvp": 2,
    "hessian": 2,
    "passes twice": 2,
}


@dataclass(frozen=True, eq=False)
class Probe:
    """An operator at a point of one library, with the directions it is differentiated in.

    Attributes
    ----------
    backend
        Adapter of the library.
    call
        Function of (primals, constants), two tuples of arrays.
    primals, constants
        Inputs that are differentiated, and those that are not.
    tangents, cotangent
        Directions like the primals and like the output.
    batch
        Primals of two points, stacked in front.
    """

    backend: Any
    call: Callable[[tuple[Array, ...], tuple[Array, ...]], Array]
    primals: tuple[Array, ...]
    constants: tuple[Array, ...]
    tangents: tuple[Array, ...]
    cotangent: Array
    batch: tuple[Array, ...]

    def f(self, *primals: Array) -> Array:
        """Return the operator of the primals."""
        return self.call(primals, self.constants)

    def scalar(self, *primals: Array) -> Array:
        """Return the inner product of the cotangent and the operator."""
        return _dot(self.f(*primals), self.cotangent)

    def directional(self, gradients: tuple[Array, ...]) -> Array:
        """Return the inner product of the tangents and `gradients`."""
        first, *rest = map(_dot, gradients, self.tangents)
        return sum(rest, first)

    @property
    def places(self) -> tuple[int, ...]:
        """Places of the primals, for `argnums`."""
        return tuple(range(len(self.primals)))


def _dot(x: Array, y: Array) -> Array:
    """Inner product in the namespace of both: `y` may be a plain array where `x` is traced."""
    xp = namespace(x, y)
    return xp.sum(xp.multiply(x, y))


@dataclass(frozen=True, eq=False)
class Transformation:
    """One row of the matrix: how a library transforms the operator, and what that must give.

    Attributes
    ----------
    quantity
        "value" or "values" (of the batch); "jvp", "vjp", "vjps"; "jacobian"; "hvp", "hessian" (of
        the scalar); "shape" (of an array without data); "passes", "passes twice" (the library's
        own check).
    run
        Function of a `Probe` that returns the quantity; gradients are tuples, one a primal.
    dtype
        Floating type of the probe, where the row is about one.
    compiles
        Whether the row calls a slow compiler.
    """

    quantity: str
    run: Callable[[Probe], Any]
    dtype: str | None = None
    compiles: bool = False
