"""Levels of arguments, and shapes and data types of tangents and cotangents."""

from __future__ import annotations

from typing import Any

from .traced import Array, Traced, settle

__all__ = ["any_traced", "cast", "deepest", "fit", "like_tuple", "split_level", "spread"]


def deepest(args: Any) -> Any:
    """Return the deepest level among `args`, None if nothing is traced."""
    level = None
    for x in args:
        if type(x) is Traced and (level is None or x._level.depth > level.depth):
            level = x._level
    return level


def split_level(args: Any, level: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the slots at `level` and the values under it; None marks a constant."""
    slots, values = [], []
    for x in args:
        if type(x) is Traced:
            if x._level is level:
                slots.append(x._slot)
                values.append(x._value)
                continue
            level.space.check_same(x)
            x = settle(x)
        slots.append(None)
        values.append(x)
    return tuple(slots), tuple(values)


def fit(xp: Any, g: Array, x: Array) -> Array:
    """Return the cotangent `g` summed over broadcast axes and cast for the argument `x`."""
    shape = x.shape
    if g.shape != shape:
        lead = len(g.shape) - len(shape)
        if lead > 0:
            g = xp.sum(g, axis=tuple(range(lead)))
        axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
        if axes:
            g = xp.sum(g, axis=axes, keepdims=True)
        if g.shape != shape:  # an elementwise rule that did not broadcast, such as of `add`
            g = xp.broadcast_to(g, shape)
    if g.dtype is not x.dtype and g.dtype != x.dtype:
        g = cast(xp, g, x.dtype)
    return g


def cast(xp: Any, g: Array, dtype: Any) -> Array:
    """Cast a tangent or cotangent; complex to real keeps the real part."""
    if xp.isdtype(g.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        g = xp.real(g)
    return g if g.dtype == dtype else xp.astype(g, dtype)


def spread(xp: Any, t: Array, out: Array) -> Array:
    """Return a tangent broadcast and cast to the value `out`."""
    if t.shape != out.shape:
        t = xp.broadcast_to(t, out.shape)
    if t.dtype is not out.dtype and t.dtype != out.dtype:
        t = cast(xp, t, out.dtype)
    return t


def any_traced(args: Any) -> bool:
    """Whether a traced array is among `args`, or in a list or tuple among them."""
    return any(type(x) is Traced or (isinstance(x, list | tuple) and any_traced(x)) for x in args)


def like_tuple(found: Any, values: Any) -> Any:
    """Return `values` as the kind of tuple that `found` is, named fields included."""
    kind = type(found)
    make = getattr(kind, "_make", kind)  # the tuples of torch are built like plain ones
    return make(tuple(values))
