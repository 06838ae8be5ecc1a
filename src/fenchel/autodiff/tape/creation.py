"""Arrays made from traced arrays: conversions and constant shapes."""

from __future__ import annotations

from typing import Any

from .fitting import any_traced
from .rules import Composite, Creation, Rule
from .traced import Array, Traced, strip

__all__ = ["RULES"]


def _asarray(
    xp: Any, obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None
) -> Array:
    """Traced arrays are immutable: they are returned as they are; lists of them are stacked."""
    if isinstance(obj, list | tuple):
        obj = xp.stack([_member(xp, x, obj) for x in obj])
    if device is not None and device != xp.device(obj):
        raise ValueError(
            f"`device` must be {xp.device(obj)} (the tape moves no data); got {device}"
        )
    return obj if dtype is None else xp.astype(obj, dtype)


def _member(xp: Any, x: Any, siblings: Any) -> Array:
    if type(x) is Traced or (isinstance(x, list | tuple) and any_traced(x)):
        return xp.asarray(x)
    example = _first_traced(siblings)
    return xp.base.asarray(strip(x), dtype=example.dtype, device=xp.device(example))


def _first_traced(tree: Any) -> Array:
    for x in tree:
        if type(x) is Traced:
            return x
        if isinstance(x, list | tuple) and any_traced(x):
            return _first_traced(x)
    raise TypeError("no traced array in the list")


def _full(
    xp: Any, shape: Any, fill_value: Array, *, dtype: Any = None, device: Any = None
) -> Array:
    fill = fill_value if dtype is None else xp.astype(fill_value, dtype)
    return xp.broadcast_to(fill, (shape,) if isinstance(shape, int) else tuple(shape))


def _full_like(
    xp: Any, x: Array, /, fill_value: Any, *, dtype: Any = None, device: Any = None
) -> Array:
    dtype = x.dtype if dtype is None else dtype
    if type(fill_value) is not Traced:
        return xp.constant_of(xp.base.full_like(strip(x), fill_value, dtype=dtype, device=device))
    return xp.full(x.shape, fill_value, dtype=dtype)


def _linspace(
    xp: Any,
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Array:
    example = start if type(start) is Traced else stop
    steps = max(num - 1 if endpoint else num, 1)
    places = xp.arange(num, dtype=example.dtype, device=xp.device(example))
    fraction = xp.divide(places, float(steps))
    # Weights of the two ends, so that both are met exactly.
    low = xp.multiply(xp.subtract(1.0, fraction), start)
    out = xp.add(low, xp.multiply(fraction, stop))
    return out if dtype is None else xp.astype(out, dtype)


def _meshgrid(xp: Any, *arrays: Array, indexing: str = "xy") -> list[Array]:
    n = len(arrays)
    grids = [xp.reshape(x, (1,) * i + (-1,) + (1,) * (n - i - 1)) for i, x in enumerate(arrays)]
    grids = list(xp.broadcast_arrays(*grids))
    if indexing == "xy" and n > 1:
        order = (1, 0, *range(2, n))
        grids = [xp.permute_dims(x, order) for x in grids]
    return grids


RULES: dict[str, Rule] = {
    **{name: Creation() for name in ("arange", "empty", "eye", "ones", "zeros")},
    "asarray": Composite(_asarray),
    "full": Composite(_full),
    "full_like": Composite(_full_like),
    "linspace": Composite(_linspace),
    "meshgrid": Composite(_meshgrid),
}
