"""Vectorised calls as a loop and a stack, for libraries that have nothing better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from .namespace import TapeNamespace, is_array, space_of
from .traced import Array

__all__ = ["vmap"]


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return `f` mapped over an axis of its arguments.

    Parameters
    ----------
    f
        Function of containers of arrays.
    in_axes
        Axis to map over: an int or None (not mapped) for all arguments, or a tuple with an entry
        for each, which may itself be a container that is a prefix of the argument.
    out_axes
        Where the mapped axis goes in the results: an int or a prefix of the result.

    Returns
    -------
    callable
        Function of arguments that have one more axis.

    Raises
    ------
    ValueError
        At the call: if nothing is mapped, or if the mapped axes differ in length or are empty.

    Notes
    -----
    *Derivatives*: those of `f`, row by row, at any level and to any order.

    Examples
    --------
    >>> import numpy as np
    >>> dot = vmap(lambda x, y: np.sum(x * y), in_axes=(0, None))
    >>> dot(np.eye(3), np.asarray([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """

    def mapped(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ValueError(f"`in_axes` must have {len(args)} entries; got {len(axes)}")
        tree: Any = args
        leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
        places = _leaf_axes(tuple(axes), args)
        size = _length(leaves, places)
        rows = []
        for i in range(size):
            row = [x if a is None else _index(x, a, i) for x, a in zip(leaves, places, strict=True)]
            rows.append(f(*optree.tree_unflatten(structure, row)))
        return _stack_rows(rows, out_axes, _any_space(leaves))

    return mapped


def _leaf_axes(axes: Any, args: Any) -> list[Any]:
    """Return the mapped axis of each leaf, by prefix."""
    found: list[Any] = []

    def spread(axis: Any, subtree: Any) -> None:
        if axis is None or isinstance(axis, int):
            found.extend([axis] * len(optree.tree_leaves(subtree, none_is_leaf=True)))
        else:
            children = optree.tree_flatten_one_level(subtree, none_is_leaf=True)[0]
            parts = optree.tree_flatten_one_level(axis, none_is_leaf=True)[0]
            if len(children) != len(parts):
                raise ValueError(
                    f"`in_axes` must be a prefix of the arguments; got {len(parts)} entries "
                    f"for {len(children)}"
                )
            for part, child in zip(parts, children, strict=True):
                spread(part, child)

    spread(axes, args)
    return found


def _length(leaves: list[Any], places: list[Any]) -> int:
    sizes = {x.shape[a] for x, a in zip(leaves, places, strict=True) if a is not None}
    if not sizes:
        raise ValueError("`in_axes` must map at least one argument; got None for all")
    if len(sizes) > 1:
        raise ValueError(f"mapped axes must have one length; got {sorted(sizes)}")
    size: int = sizes.pop()
    if size == 0:
        raise ValueError("mapped axes must not be empty: the shape of the result is unknown")
    return size


def _index(x: Array, axis: int, i: int) -> Array:
    return x[(*(slice(None),) * (axis % len(x.shape)), i, Ellipsis)]


def _any_space(leaves: list[Any]) -> TapeNamespace:
    return space_of(next(x for x in leaves if is_array(x)))


def _stack_rows(rows: list[Any], out_axes: Any, space: TapeNamespace) -> Any:
    flat = [optree.tree_flatten(row, none_is_leaf=True) for row in rows]
    structure = flat[0][1]
    whole = optree.tree_unflatten(structure, list(range(structure.num_leaves)))
    axes = _leaf_axes(out_axes, whole)
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    return optree.tree_unflatten(
        structure, [_stack(column, a, space) for column, a in zip(columns, axes, strict=True)]
    )


def _stack(column: tuple[Any, ...], axis: Any, space: TapeNamespace) -> Any:
    if axis is None:
        return column[0]
    if not any(is_array(x) for x in column):
        return space.base.asarray(list(column))
    return space.stack(column, axis=axis)
