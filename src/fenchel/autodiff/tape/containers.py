"""Containers of arrays and their leaves: what all transformations check and convert."""

from __future__ import annotations

from typing import Any

import optree

from .fitting import cast
from .namespace import TapeNamespace, is_array, space_of
from .traced import Array, Traced, settle

__all__ = [
    "as_float",
    "common_space",
    "flatten",
    "flatten_as",
    "is_active",
    "lower",
    "match_cotangent",
    "match_tangent",
    "slot_of",
    "unflatten",
    "zero_of",
]


class _Leaf:
    """The structure of a single array: spares the container machinery on the usual path."""


_LEAF = _Leaf()
_FLAT_TYPES: set[type] = {Traced, float}


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a container and its structure; constants of the tape become plain."""
    if type(tree) in _FLAT_TYPES:
        return [settle(tree)], _LEAF
    if is_array(tree):
        _FLAT_TYPES.add(type(tree))
        return [tree], _LEAF
    if type(tree) is tuple and all(type(x) in _FLAT_TYPES for x in tree):
        return [settle(x) for x in tree], len(tree)
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
    return [settle(x) for x in leaves], structure


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """Inverse of `flatten`."""
    if structure is _LEAF:
        return leaves[0]
    if type(structure) is int:
        return tuple(leaves)
    return optree.tree_unflatten(structure, leaves)


def flatten_as(structure: Any, tree: Any, size: int) -> list[Any]:
    """Return the leaves of a container of given structure; None may stand for any subtree."""
    if tree is None:
        return [None] * size
    leaves, found = flatten(tree)
    if type(found) is type(structure) and found == structure:
        return leaves
    if structure is _LEAF or type(structure) is int or type(found) is int or found is _LEAF:
        if len(leaves) == size:
            return leaves
    elif found == structure:
        return leaves
    raise ValueError(
        f"the container must have the structure of its counterpart, with {size} arrays; "
        f"got {len(leaves)}"
    )


def is_active(x: Any) -> bool:
    """Whether a leaf is differentiated: floating arrays and Python floats."""
    if type(x) is Traced or type(x) is float or type(x) is complex:
        return True
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return False
    key = (type(x), dtype)  # data types of two libraries must not meet in a comparison
    known = _FLOATING.get(key)
    if known is None:
        known = bool(space_of(x).base.isdtype(dtype, ("real floating", "complex floating")))
        _FLOATING[key] = known
    return known


_FLOATING: dict[tuple[type, Any], bool] = {}


def common_space(leaves: list[Any]) -> TapeNamespace:
    """Return the one tape namespace of the leaves."""
    space = None
    active = False
    for x in leaves:
        active = active or is_active(x)
        if is_array(x):
            found = space_of(x)
            if space is not None and found is not space:
                raise TypeError(
                    f"arrays must belong to one library; got both {space.library} "
                    f"and {found.library}"
                )
            space = found
    if not active:
        kinds = sorted({type(x).__qualname__ for x in leaves})
        raise TypeError(f"differentiation needs a floating array; got {', '.join(kinds)}")
    if space is None:  # Python floats alone: NumPy scalars stand in for them
        import numpy as np

        space = space_of(np.asarray(0.0))
    return space


def as_float(space: TapeNamespace, x: Any) -> Array:
    """Return a leaf as an array: Python floats become 0-d arrays."""
    return space.base.asarray(x) if type(x) is float or type(x) is complex else x


def slot_of(y: Any, level: Any) -> Any:
    """Return the slot of an output at `level`, None for a constant."""
    return y._slot if type(y) is Traced and y._level is level else None


def lower(y: Any, level: Any) -> Any:
    """Return `y` without `level`, and without the mark of a constant."""
    return y._value if type(y) is Traced and y._level is level else settle(y)


def zero_of(space: TapeNamespace, value: Any) -> Any:
    """Zero tangent of a constant value: None where the value has no derivative at all."""
    if type(value) is float or type(value) is complex:
        return 0.0
    return space.zeros_like(value) if is_active(value) else None


def match_tangent(space: TapeNamespace, t: Any, x: Array, name: str) -> Array:
    """Return a tangent checked against its primal `x`: shape, library, data type."""
    if t is None:
        return space.zeros_like(x)
    t = space.accept(t)
    if type(t) is float or type(t) is int:
        t = space.full_like(x, t)
    if t.shape != x.shape:
        raise ValueError(
            f"`{name}` must have the shapes of their counterparts; got {t.shape} for {x.shape}"
        )
    return t if t.dtype == x.dtype else cast(space, t, x.dtype)


def match_cotangent(
    space: TapeNamespace, cotangent: Any, structure: Any, values: list[Any]
) -> list[Any]:
    """Return cotangents for the leaves of a value, None where there is nothing to pull back."""
    given = flatten_as(structure, cotangent, len(values))
    return [
        None
        if g is None or not hasattr(v, "shape") or not is_active(v)
        else match_tangent(space, g, v, "cotangent")
        for g, v in zip(given, values, strict=True)
    ]
