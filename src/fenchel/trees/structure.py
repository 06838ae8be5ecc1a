"""Leaves and structure of a container, and the library its arrays belong to."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import optree

from ..backend import Backend, backend_of

__all__ = [
    "backend_of_tree",
    "find_backend",
    "flatten",
    "is_array",
    "leaves",
    "map",
    "size",
    "unflatten",
]

Tree = Any


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array, of whatever library."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _open(tree: Tree) -> list[Any]:
    return list(optree.tree_leaves(tree))


def find_backend(*trees: Tree) -> Backend | None:
    """Return the adapter of the arrays in the containers, None where there is no array."""
    arrays = [leaf for leaf in _open(trees) if is_array(leaf)]
    return backend_of(*arrays) if arrays else None


def backend_of_tree(tree: Tree, /, *others: Tree) -> Backend:
    """Return the adapter of the library that the arrays in the containers belong to.

    Parameters
    ----------
    tree, *others
        Containers of arrays of one library; leaves that are no arrays are passed over.

    Returns
    -------
    Backend
        The library's adapter.

    Raises
    ------
    TypeError
        If there is no array, or if two libraries are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> backend_of_tree({"w": np.ones(3), "n": 2}).name
    'numpy'
    """
    backend = find_backend(tree, *others)
    if backend is None:
        raise TypeError("at least one leaf must be an array; got " + _types(tree, others))
    return backend


def _types(tree: Tree, others: tuple[Tree, ...]) -> str:
    found = sorted({type(leaf).__qualname__ for leaf in _open((tree, *others))})
    return ", ".join(found) or "an empty container"


def flatten(tree: Tree, /) -> tuple[list[Any], Any]:
    """Return the leaves of a container and its structure.

    Parameters
    ----------
    tree
        Any container.

    Returns
    -------
    tuple
        List of leaves, and the structure that `unflatten` takes.

    Examples
    --------
    >>> found, structure = flatten({"b": 2.0, "a": 1.0})
    >>> found
    [1.0, 2.0]
    >>> unflatten(structure, [3.0, 4.0])
    {'b': 4.0, 'a': 3.0}
    """
    backend = find_backend(tree)
    if backend is None:
        found, structure = optree.tree_flatten(tree)
        return list(found), (None, structure)
    found, structure = backend.tree_flatten(tree)
    return list(found), (backend, structure)


def unflatten(structure: Any, leaves: Any, /) -> Tree:
    """Return the container with a given structure and given leaves; see `flatten`.

    Parameters
    ----------
    structure
        What `flatten` returned.
    leaves
        As many leaves as the structure has.

    Returns
    -------
    container
        The container.

    Examples
    --------
    >>> unflatten(flatten((1, [2, 3]))[1], "abc")
    ('a', ['b', 'c'])
    """
    backend, spec = structure
    if backend is None:
        return optree.tree_unflatten(spec, leaves)
    return backend.tree_unflatten(spec, leaves)


def leaves(tree: Tree, /) -> list[Any]:
    """Return the leaves of a container, dict entries in the order of their keys.

    Parameters
    ----------
    tree
        Any container.

    Returns
    -------
    list
        Its leaves.

    Examples
    --------
    >>> leaves({"b": 2, "a": [1, None]})
    [1, 2]
    """
    return flatten(tree)[0]


def map(f: Callable[..., Any], tree: Tree, /, *rest: Tree) -> Tree:
    """Apply `f` leaf by leaf to containers of one structure.

    Parameters
    ----------
    f
        Function of as many leaves as there are containers.
    tree, *rest
        Containers of one structure.

    Returns
    -------
    container
        Results of `f`, in the structure of `tree`.

    Raises
    ------
    ValueError
        If the structures differ.

    Examples
    --------
    >>> map(lambda a, b: a + b, {"w": 1, "b": [2]}, {"w": 10, "b": [20]})
    {'w': 11, 'b': [22]}
    """
    first, structure = flatten(tree)
    columns = [first, *(_leaves_like(structure, other) for other in rest)]
    return unflatten(structure, [f(*row) for row in zip(*columns, strict=True)])


def _leaves_like(structure: Any, other: Tree) -> list[Any]:
    backend, spec = structure
    found, other_spec = backend.tree_flatten(other) if backend else optree.tree_flatten(other)
    if other_spec != spec:
        raise ValueError(f"containers must have one structure; got {spec} and {other_spec}")
    return list(found)


def size(tree: Tree, /) -> int:
    """Return how many numbers a container holds.

    Parameters
    ----------
    tree
        Container of arrays and numbers.

    Returns
    -------
    int
        Total number of entries.

    Examples
    --------
    >>> import numpy as np
    >>> size({"w": np.ones((2, 3)), "b": 1.0})
    7
    """
    return sum(prod(leaf.shape) if is_array(leaf) else 1 for leaf in leaves(tree))
