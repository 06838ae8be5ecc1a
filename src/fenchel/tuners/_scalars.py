"""Arithmetic of the few scalars that a tuner decides by.

Where values are at hand they are Python floats, in double precision and without a dispatch for
each operation; inside jit, compile and vmap they are arrays of shape (). The rules are written once
over the two classes here, and states and reports hold arrays in either case.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..autodiff.arguments import check_leaves
from ..backend import Backend, backend_of
from ..trees import find_backend, is_array, leaves

__all__ = ["FLOATS", "ArrayScalars", "FloatScalars", "Holder", "scalars_of"]

Scalar = Any


@dataclass(frozen=True)
class FloatScalars:
    """Python floats: conditions are decided, loops are Python's.

    What is above `largest`, the bound of the arrays they stand for, counts as infinite.
    """

    largest: float = sys.float_info.max
    traced = False

    def number(self, x: Any) -> float:
        """Return a scalar as a float."""
        return float(x)

    def truth(self, x: Any) -> bool:
        """Return a scalar as a boolean."""
        return bool(x)

    def where(self, condition: bool, a: Any, b: Any) -> Any:
        """Return `a` where the condition holds, else `b`."""
        return a if condition else b

    def minimum(self, a: float, b: float) -> float:
        """Return the smaller one."""
        return min(a, b)

    def maximum(self, a: float, b: float) -> float:
        """Return the larger one."""
        return max(a, b)

    def absolute(self, x: float) -> float:
        """Return the magnitude."""
        return abs(x)

    def root(self, x: float) -> float:
        """Return the square root of a number that is not negative."""
        return math.sqrt(x)

    def is_finite(self, x: float) -> bool:
        """Whether a number is neither NaN nor infinite."""
        return abs(x) <= self.largest

    def negation(self, x: bool) -> bool:
        """Return the opposite of a condition."""
        return not x

    def counted(self, x: bool) -> int:
        """Return 1 where a condition holds, else 0."""
        return int(x)

    def repeat(self, going: Callable[[Any], Any], body: Callable[[Any], Any], carry: Any) -> Any:
        """Apply `body` while `going` holds."""
        while going(carry):
            carry = body(carry)
        return carry

    def choose(self, condition: bool, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """Return the result of the one function that the condition names."""
        return yes() if condition else no()


_LARGEST = 2.0**127 * (2.0 - 2.0**-23)

FLOATS, _SINGLES = FloatScalars(), FloatScalars(_LARGEST)


@dataclass(frozen=True)
class ArrayScalars:
    """Arrays of shape () whose values need not be known."""

    backend: Backend
    dtype: Any
    device: Any = None
    traced = True

    def number(self, x: Any) -> Scalar:
        """Return a scalar in the dtype of the tuner."""
        xp = self.backend.namespace
        if not is_array(x):
            return xp.asarray(x, dtype=self.dtype, device=self.device)
        return xp.astype(x, self.dtype)

    def truth(self, x: Any) -> Scalar:
        """Return a scalar as a boolean array."""
        xp = self.backend.namespace
        return x if is_array(x) else xp.asarray(x, dtype=xp.bool, device=self.device)

    def where(self, condition: Any, a: Any, b: Any) -> Scalar:
        """Return `a` where the condition holds, else `b`."""
        return self.backend.namespace.where(condition, self._array(a), self._array(b))

    def _array(self, x: Any) -> Scalar:
        if is_array(x):
            return x
        xp = self.backend.namespace
        dtype = xp.bool if isinstance(x, bool) else self.dtype
        return xp.asarray(x, dtype=dtype, device=self.device)

    def minimum(self, a: Any, b: Any) -> Scalar:
        """Return the smaller one."""
        return self.backend.namespace.minimum(self._array(a), self._array(b))

    def maximum(self, a: Any, b: Any) -> Scalar:
        """Return the larger one."""
        return self.backend.namespace.maximum(self._array(a), self._array(b))

    def absolute(self, x: Any) -> Scalar:
        """Return the magnitude."""
        return self.backend.namespace.abs(self._array(x))

    def root(self, x: Any) -> Scalar:
        """Return the square root of a number that is not negative."""
        return self.backend.namespace.sqrt(self._array(x))

    def is_finite(self, x: Any) -> Scalar:
        """Whether a number is neither NaN nor infinite."""
        return self.backend.namespace.isfinite(self._array(x))

    def negation(self, x: Any) -> Scalar:
        """Return the opposite of a condition."""
        return self.backend.namespace.logical_not(x)

    def counted(self, x: Any) -> Scalar:
        """Return 1 where a condition holds, else 0."""
        xp = self.backend.namespace
        return xp.astype(self.truth(x), xp.int32)

    def repeat(self, going: Callable[[Any], Any], body: Callable[[Any], Any], carry: Any) -> Any:
        """Apply `body` while `going` holds."""
        return self.backend.while_loop(going, body, carry)

    def choose(self, condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
        """Return the result of one of two functions."""
        return self.backend.cond(condition, lambda _: yes(), lambda _: no(), self.number(0.0))


def scalars_of(*values: Any) -> Any:
    """Return the arithmetic for some scalars: of floats, or of the arrays among them."""
    arrays = [x for x in values if is_array(x)]
    if not arrays:
        return FLOATS
    backend = backend_of(*arrays)
    first = arrays[0]
    return ArrayScalars(backend, wide_dtype(backend, arrays), backend.device_of(first))


def wide_dtype(backend: Backend, arrays: list[Any]) -> Any:
    """Return float64 where an array has it, else float32: never a half type."""
    xp = backend.namespace
    return xp.float64 if any(x.dtype == xp.float64 for x in arrays) else xp.float32


def _narrow(x: Any) -> Any:
    """Return a float beyond single precision as the infinity it becomes: NumPy would warn."""
    return math.copysign(math.inf, x) if isinstance(x, float) and abs(x) > _LARGEST else x


@dataclass(frozen=True)
class Holder:
    """How the scalars of states and reports are held: library, dtype, device.

    Without any array among the parameters they stay Python numbers.
    """

    backend: Backend | None
    dtype: Any = None
    device: Any = None

    @classmethod
    def of(cls, backend: Backend | None, leaves: list[Any]) -> Holder:
        """Return the holder for parameters with these leaves."""
        arrays = [x for x in leaves if is_array(x)]
        if backend is None or not arrays:
            return cls(None)
        return cls(backend, wide_dtype(backend, arrays), backend.device_of(arrays[0]))

    @classmethod
    def like(cls, params: Any) -> Holder:
        """Return the holder for a container of parameters: floating arrays, or nothing."""
        check_leaves("params", params)
        return cls.of(find_backend(params), leaves(params))

    def arithmetic(self, *values: Any) -> Any:
        """Return the arithmetic of a step: floats where every value is known."""
        if self.backend is None:
            return FLOATS
        known = not any(is_array(x) and self.backend.is_traced(x) for x in values)
        if not known:
            return ArrayScalars(self.backend, self.dtype, self.device)
        return _SINGLES if self._single else FLOATS

    def numbers(self, *values: Any) -> tuple[Any, ...]:
        """Return floating scalars as they are held."""
        if self._single:
            values = tuple(map(_narrow, values))
        return self._held(values, self.dtype)

    def truths(self, *values: Any) -> tuple[Any, ...]:
        """Return boolean scalars as they are held."""
        return self._held(values, None if self.backend is None else self.backend.namespace.bool)

    def counts(self, *values: Any) -> tuple[Any, ...]:
        """Return whole numbers as they are held: int32."""
        return self._held(values, None if self.backend is None else self.backend.namespace.int32)

    @property
    def _single(self) -> bool:
        return self.backend is not None and bool(self.dtype == self.backend.namespace.float32)

    def filled(self, size: int, value: float) -> Any:
        """Return a vector of one number."""
        if self.backend is None:
            return (value,) * size
        xp = self.backend.namespace
        return xp.full((size,), value, dtype=self.dtype, device=self.device)

    def _held(self, values: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
        if self.backend is None:
            return values
        xp = self.backend.namespace
        if len(values) > 1 and not any(map(is_array, values)):
            # One array cut into its entries costs a third of as many arrays.
            return tuple(xp.unstack(xp.asarray(list(values), dtype=dtype, device=self.device)))
        return tuple(
            xp.astype(x, dtype) if is_array(x) else xp.asarray(x, dtype=dtype, device=self.device)
            for x in values
        )
