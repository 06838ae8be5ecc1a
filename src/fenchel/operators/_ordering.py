"""What soft sorting and soft ranking share: the sorted order, and the places of its blocks.

Both project on a permutahedron. With entries sorted ascending, s_1 <= ... <= s_n, and t the
temperature, the quadratic projections are, block by block of one isotonic fit,

    rank_i = (s_i - mean s) / t + mean of the places 1, ..., n,    blocks of s - t (1, ..., n),
    sort_i = (i - mean i) / t + mean s,                            blocks of (1, ..., n) - t s,

so that only the blocks come from the fit, and each value is a block mean of live entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice
from ..backend import Array, Backend
from ..convex.blocks import block_ids, block_size

__all__ = [
    "check_regularization",
    "choose_where_soft",
    "doubled",
    "first_places",
    "inverse_temperature",
    "mean_places",
    "tie_ids",
    "tilted",
    "times",
]


def check_regularization(value: str) -> None:
    """Raise ValueError unless `value` names one of the two projections."""
    check_choice("regularization", value, ("quadratic", "entropic"))


def tie_ids(backend: Backend, values: Array) -> Array:
    """Return the blocks of equal neighbours, each numbered by its first entry, as int32."""
    xp = backend.namespace
    new = values[..., 1:] != values[..., :-1]
    first = xp.ones_like(values[..., :1] == values[..., :1])
    return xp.astype(block_ids(backend, xp.concat([first, new], axis=-1)), xp.int32)


def inverse_temperature(backend: Backend, temperature: Array | float) -> tuple[Any, Any]:
    """Return (t, 1 / t), or (1, 0) where the temperature is 0 and the operator hard."""
    if isinstance(temperature, float):
        return (temperature, 1.0 / temperature) if temperature > 0 else (1.0, 0.0)
    xp = backend.namespace
    soft = temperature > 0
    safe = xp.where(soft, temperature, xp.ones_like(temperature))
    return safe, xp.where(soft, 1.0 / safe, xp.zeros_like(safe))


def choose_where_soft(
    backend: Backend,
    temperature: Array | float,
    data: Array,
    soft: Callable[[Array], Array],
    hard: Array,
) -> Array:
    """Return the blocks `soft(data)` where the temperature is above 0, else `hard`."""
    if isinstance(temperature, float):
        return soft(data) if temperature > 0 else hard
    xp = backend.namespace
    positive = backend.stop_gradient(temperature) > 0
    return xp.where(positive, soft(xp.where(positive, data, xp.zeros_like(data))), hard)


def doubled(backend: Backend, x: Array) -> Array:
    """Return `x` in float64, where the library has it on that device."""
    xp = backend.namespace
    info = getattr(xp, "__array_namespace_info__", None)
    if x.dtype == xp.float64 or info is None:
        return x
    found = info().dtypes(device=backend.device_of(x), kind="real floating")
    return xp.astype(x, found["float64"]) if "float64" in found else x


def tilted(backend: Backend, base: Array, temperature: Array | float, slope: Array) -> Array:
    """Return base + t * slope, detached; where t is infinite the slope alone decides.

    It has no say about an infinite base, which stays.
    """
    xp = backend.namespace
    if isinstance(temperature, float):
        if temperature < float("inf"):
            return base + temperature * slope
        return xp.where(xp.isfinite(base), slope, base)
    t = backend.stop_gradient(temperature)
    infinite = t == float("inf")
    sum_ = base + xp.where(infinite, xp.ones_like(t), t) * slope
    return xp.where(infinite & xp.isfinite(base), slope, sum_)


def times(backend: Backend, x: Array, factor: Array | float) -> Array:
    """Return x times factor, either of which may be traced: a plain operand does not defer."""
    return x * factor if isinstance(factor, float) else backend.namespace.multiply(x, factor)


def first_places(backend: Backend, ids: Array, like: Array) -> Array:
    """Return 0-based places of the first entry of each entry's block, in the dtype of `like`."""
    return backend.namespace.astype(ids, like.dtype)


def mean_places(backend: Backend, ids: Array, like: Array) -> Array:
    """Return the mean of the 1-based places of each entry's block, in the dtype of `like`."""
    size = block_size(backend, like, ids)
    # By name: the left term may be plain where the right one is traced.
    return backend.namespace.add(first_places(backend, ids, like), (size + 1) / 2)
