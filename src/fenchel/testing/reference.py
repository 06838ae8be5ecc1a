"""What every transformation must give: NumPy in float64, and differences of its values.

Values come from the array-API route without kernels. First derivatives are central differences of
those values, of order six: at a step of 1e-3 their error is that of rounding, as long as no kink is
within three steps, and the stencil of order four on the same values tells whether one is. Second
derivatives are differences of NumPy's first ones, which are themselves checked against differences.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..autodiff import vjp
from ..backend import use_kernels
from .operator import Operator

__all__ = ["Point", "Reference", "draw_point", "evaluate"]

_STEP = 1e-3
_ORDER_SIX = (3 / 4, -3 / 20, 1 / 60)
_ORDER_FOUR = (2 / 3, -1 / 12, 0.0)


class Point:
    """Inputs of an operator as NumPy arrays, and the directions that go with them."""

    def __init__(self, primals: Any, constants: Any, tangents: Any, cotangent: Any) -> None:
        self.primals = primals
        self.constants = constants
        self.tangents = tangents
        self.cotangent = cotangent


def draw_point(operator: Operator, place: int = 0) -> Point:
    """Return the first or second sample point; they share their constants."""
    inputs = operator.inputs(np.random.default_rng(operator.seeds[place]))
    first = operator.inputs(np.random.default_rng(operator.seeds[0]))
    chosen = operator.differentiable
    primals = tuple(inputs[i] for i in chosen)
    constants = tuple(x for i, x in enumerate(first) if i not in chosen)
    rng = np.random.default_rng(1)
    tangents = tuple(rng.standard_normal(x.shape) for x in primals)
    shape = np.shape(evaluate(operator, primals, constants))
    return Point(primals, constants, tangents, np.asarray(rng.standard_normal(shape)))


def evaluate(operator: Operator, primals: Any, constants: Any) -> Any:
    """Call the operator with its inputs in their places."""
    chosen, rest = dict(zip(operator.differentiable, primals, strict=True)), iter(constants)
    count = len(primals) + len(constants)
    return operator(*(chosen[i] if i in chosen else next(rest) for i in range(count)))


class Reference:
    """Values and derivatives of an operator at a point, in NumPy's float64.

    Raises
    ------
    ValueError
        By the derivatives, if a kink of the operator is too near to the point.
    """

    def __init__(self, operator: Operator, point: Point) -> None:
        self.operator = operator
        self.point = point

    def _f(self, *primals: Any) -> Any:
        return evaluate(self.operator, primals, self.point.constants)

    @cached_property
    def value(self) -> Any:
        """Value, by the route without kernels."""
        with use_kernels(False):
            return np.asarray(self._f(*self.point.primals))

    @cached_property
    def jacobian(self) -> tuple[Any, ...]:
        """One array a primal, of the shape of the output followed by that of the primal."""
        blocks = []
        for place, x in enumerate(self.point.primals):
            columns = [self._column(place, entry) for entry in np.ndindex(x.shape)]
            stacked = np.stack(columns, axis=-1)
            blocks.append(stacked.reshape(stacked.shape[:-1] + x.shape))
        return tuple(blocks)

    def _column(self, place: int, entry: tuple[int, ...]) -> Any:
        primals = self.point.primals
        unit = np.zeros_like(primals[place])
        unit[entry] = 1.0

        def along(t: float) -> Any:
            return self._f(*primals[:place], primals[place] + t * unit, *primals[place + 1 :])

        (column,) = self._difference(lambda t: (np.asarray(along(t)),))
        return column

    @cached_property
    def hvp(self) -> tuple[Any, ...]:
        """Derivative of the gradient along the tangents."""

        def gradient(t: float) -> tuple[Any, ...]:
            pairs = zip(self.point.primals, self.point.tangents, strict=True)
            with use_kernels(False):
                _, pullback = vjp(self._f, *(x + t * v for x, v in pairs))
                return pullback(self.point.cotangent)

        return self._difference(gradient)

    @property
    def jvp(self) -> Any:
        """Derivative along the tangents."""
        pairs = zip(self.jacobian, self.point.tangents, strict=True)
        return sum(np.tensordot(j, t, axes=t.ndim) for j, t in pairs)

    @property
    def vjp(self) -> tuple[Any, ...]:
        """Gradient of the inner product with the cotangent."""
        return self.pullback(self.point.cotangent)

    def pullback(self, cotangent: Any) -> tuple[Any, ...]:
        """Gradient of the inner product with `cotangent`."""
        return tuple(np.tensordot(cotangent, j, axes=cotangent.ndim) for j in self.jacobian)

    def _difference(self, f: Callable[[float], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Return the derivative at 0 of a function of one number."""
        pairs = [(f(i * _STEP), f(-i * _STEP)) for i in (1, 2, 3)]
        slopes = [
            tuple((a - b) / _STEP for a, b in zip(right, left, strict=True))
            for right, left in pairs
        ]
        fine, coarse = (
            tuple(
                sum(w * s for w, s in zip(weights, parts, strict=True))
                for parts in zip(*slopes, strict=True)
            )
            for weights in (_ORDER_SIX, _ORDER_FOUR)
        )
        for a, b in zip(fine, coarse, strict=True):
            gap = float(np.max(np.abs(a - b), initial=0.0))
            if not gap <= 1e-6 * max(1.0, float(np.max(np.abs(a), initial=0.0))):
                raise ValueError(
                    f"`inputs` of {self.operator.name} must be a generic point: its differences "
                    f"disagree by {gap:.1e}"
                )
        return fine
