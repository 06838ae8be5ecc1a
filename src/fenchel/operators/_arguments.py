"""What every operator of the room does first and last: checks, masks, axes, half precision."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

from ..arrays import FloatInfo, axis_back, axis_last, check_axis, check_dtype, narrow, widen
from ..backend import backend_of
from ..parameters import check_mask, known_to, row_parameter

__all__ = ["Prepared", "finish", "prepare", "temperature_of", "with_temperature"]

Array = Any


class Prepared(NamedTuple):
    """An operator's input, ready: event axis last, computing dtype, masked entries at -inf."""

    backend: Any
    x: Array
    axis: int
    info: FloatInfo
    dtype: Any


def prepare(
    x: Array,
    axis: int,
    where: Array | None = None,
    options: tuple[Any, ...] = (),
    *,
    masked: float = float("-inf"),
) -> Prepared:
    """Check `x`, `axis` and `where`, and bring the scores into the form formulas expect.

    `options` are the other differentiated arguments: if one of them is traced, and `x` is not, the
    adapter is the one that traces.
    """
    backend = backend_of(x)
    for value in options:
        if type(value) is not float and not isinstance(value, Real):
            backend = backend_of(x, *options)
            x = known_to(backend, x)
            break
    info = check_dtype("x", x)
    axis = check_axis(axis, x)
    dtype = x.dtype
    if info.half or where is not None or axis != x.ndim - 1:
        xp = backend.namespace
        mask = None if where is None else check_mask(backend, where, x, axis)
        x = axis_last(xp, widen(xp, x, info), axis)
        if mask is not None:
            x = xp.where(mask, x, xp.full_like(x, masked))
    return Prepared(backend, x, axis, info, dtype)


def finish(ready: Prepared, y: Array) -> Array:
    """Bring an output shaped like the prepared input back to the caller's axis and dtype."""
    if ready.info.half or ready.axis != y.ndim - 1:
        xp = ready.backend.namespace
        return axis_back(xp, narrow(xp, y, ready.info, ready.dtype), ready.axis)
    return y


def temperature_of(backend: Any, value: Any, x: Array, axis: int) -> Any:
    """Return the temperature as a number >= 0 or an array (..., 1)."""
    if type(value) is float and value > 0.0 and value != float("inf"):
        return value
    return row_parameter(backend, "temperature", value, x, axis, minimum=0.0)


def with_temperature(
    backend: Any,
    temperature: Any,
    soft: Callable[[Any], Array],
    hard: Callable[[], Array],
    flat: Callable[[], Array] | None = None,
) -> Array:
    """Return `soft(temperature)`, `hard()` where the temperature is 0, `flat()` where infinite.

    Without `flat` the soft branch serves infinite temperatures too. An array of temperatures is
    handled row by row; the soft branch then never sees those that have a branch of their own.
    """
    if isinstance(temperature, float):
        if flat is not None and temperature == float("inf"):
            return flat()
        return soft(temperature) if temperature > 0.0 else hard()
    xp = backend.namespace
    positive = ~(temperature <= 0)  # NaN too
    infinite = temperature == float("inf")
    own = positive if flat is None else positive & ~infinite
    y = xp.where(positive, soft(xp.where(own, temperature, xp.ones_like(temperature))), hard())
    return y if flat is None else xp.where(infinite, flat(), y)
