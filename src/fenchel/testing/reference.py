"""What every transformation must give: NumPy in float64, and differences of its values.

Values come from the array-API route without kernels. First derivatives are central differences of
those values, of order six: at a step of 1e-3 their error is that of rounding, as long as no kink is
within three steps; other stencils on the same values tell whether one is. Second
derivatives are differences of NumPy's first ones, which are themselves checked against differences.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..autodiff import vjp
from ..kernels import use_kernels
from .operator import Operator

__all__ = ["Point", "Reference", "draw_point", "split"]

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
    shape = np.shape(split(operator, len(inputs))(primals, constants))
    return Point(primals, constants, tangents, np.asarray(rng.standard_normal(shape)))


def split(operator: Operator, count: int) -> Callable[[Any, Any], Any]:
    """Return the operator of `count` inputs as a function of (primals, constants)."""
    call, chosen = operator.bound(count), operator.differentiable
    others = tuple(i for i in range(count) if i not in chosen)
    order = sorted(range(count), key=(*chosen, *others).__getitem__)

    def put_together(primals: Any, constants: Any) -> Any:
        inputs = (*primals, *constants)
        return call(*[inputs[i] for i in order])

    return put_together


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
        self._call = split(operator, len(point.primals) + len(point.constants))

    def _f(self, *primals: Any) -> Any:
        return self._call(primals, self.point.constants)

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
        middle = f(0.0)
        pairs = [(f(i * _STEP), f(-i * _STEP)) for i in (1, 2, 3)]
        found = []
        for place, at in enumerate(middle):
            sides = [(right[place], left[place]) for right, left in pairs]
            slopes = [(right - left) / _STEP for right, left in sides]
            bends = [(right - 2 * at + left) / _STEP for right, left in sides]
            fine, coarse = (
                sum(w * slope for w, slope in zip(weights, slopes, strict=True))
                for weights in (_ORDER_SIX, _ORDER_FOUR)
            )
            # Bends grow with the square of the step where f is smooth, and like it at a kink.
            self._require_smooth(fine, fine - coarse, 1e-6)
            self._require_smooth(fine, bends[1] - 4 * bends[0], 1e-3)
            found.append(fine)
        return tuple(found)

    def _require_smooth(self, slope: Any, defect: Any, limit: float) -> None:
        size = max(1.0, float(np.max(np.abs(slope), initial=0.0)))
        worst = float(np.max(np.abs(defect), initial=0.0))
        if not worst <= limit * size:
            raise ValueError(
                f"`inputs` of {self.operator.name} must be a generic point: differences disagree "
                f"by {worst:.1e}"
            )
