"""Containers of arrays as vectors."""

from __future__ import annotations

import operator
from math import prod, sqrt
from typing import Any

from ..backend import backend_of
from .structure import find_backend, is_array, leaves, map

__all__ = ["add", "axpy", "dot", "norm", "scale", "sub", "zeros_like"]

Tree = Any
Array = Any


def dot(a: Tree, b: Tree, /) -> Array:
    """Return the sum over all entries of the products of two containers.

    Parameters
    ----------
    a, b
        Containers of one structure, leaf shapes equal.

    Returns
    -------
    array
        Scalar of shape (); complex leaves are not conjugated.

    Raises
    ------
    ValueError
        If structures or shapes differ.

    Notes
    -----
    *Derivatives*: smooth in both, on every library.

    Examples
    --------
    >>> import numpy as np
    >>> float(dot({"w": np.asarray([1.0, 2.0])}, {"w": np.asarray([3.0, 4.0])}))
    11.0
    """
    products = leaves(map(_leaf_dot, a, b))
    total = products[0] if products else 0.0
    for product in products[1:]:
        total = total + product
    return total


def _leaf_dot(a: Any, b: Any) -> Any:
    if not is_array(a):
        return a * b
    if is_array(b) and tuple(a.shape) != tuple(b.shape):
        raise ValueError(f"leaves must have one shape; got {tuple(a.shape)} and {tuple(b.shape)}")
    return backend_of(a, b).namespace.sum(_combine("multiply", a, b))


def norm(tree: Tree, /) -> Array:
    """Return the Euclidean norm of all entries of a container.

    Parameters
    ----------
    tree
        Container of real arrays and numbers.

    Returns
    -------
    array
        Scalar of shape ().

    Notes
    -----
    Leaves are divided by the largest magnitude first, so that nothing overflows.
    *Derivatives*: smooth away from 0; at 0 the derivative is 0.

    Examples
    --------
    >>> import numpy as np
    >>> float(norm([np.asarray([3.0]), np.asarray([[4.0]])]))
    5.0
    """
    backend = find_backend(tree)
    if backend is None:
        return sqrt(sum(float(leaf) ** 2 for leaf in leaves(tree)))
    xp = backend.namespace
    parts = [leaf if is_array(leaf) else xp.asarray(float(leaf)) for leaf in leaves(tree)]
    parts = [part for part in parts if prod(part.shape)]
    if not parts:
        return xp.asarray(0.0)
    largest = xp.max(xp.abs(backend.stop_gradient(parts[0])))
    for part in parts[1:]:
        largest = xp.maximum(largest, xp.max(xp.abs(backend.stop_gradient(part))))
    # An infinite entry must give inf, and inf / inf would be NaN.
    usable = (largest > 0) & (largest < float("inf"))
    unit = xp.where(usable, largest, xp.ones_like(largest))
    square = dot([part / unit for part in parts], [part / unit for part in parts])
    positive = square > 0
    root = xp.sqrt(xp.where(positive, square, xp.ones_like(square)))
    return xp.where(positive, root, square) * unit


def scale(factor: Any, tree: Tree, /) -> Tree:
    """Return `factor * tree`, leaf by leaf.

    Parameters
    ----------
    factor
        Number or 0-d array.
    tree
        Container of arrays.

    Returns
    -------
    container
        Like `tree`.

    Examples
    --------
    >>> scale(2.0, [1.0, (3.0,)])
    [2.0, (6.0,)]
    """
    return map(lambda leaf: _times(factor, leaf), tree)


def axpy(factor: Any, x: Tree, y: Tree, /) -> Tree:
    """Return `factor * x + y`, leaf by leaf.

    Parameters
    ----------
    factor
        Number or 0-d array.
    x, y
        Containers of one structure.

    Returns
    -------
    container
        Like `y`.

    Raises
    ------
    ValueError
        If the structures differ.

    Examples
    --------
    >>> axpy(2.0, [1.0, 2.0], [10.0, 20.0])
    [12.0, 24.0]
    """
    return map(lambda a, b: _combine("add", _times(factor, a), b), x, y)


_OPERATORS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul}


def _combine(name: str, a: Any, b: Any) -> Any:
    """Apply an operation to two leaves."""
    # By its function where types differ: the operator of a strict array refuses a traced one.
    if is_array(a) and is_array(b) and type(a) is not type(b):
        return getattr(backend_of(a, b).namespace, name)(a, b)
    return _OPERATORS[name](a, b)


def _times(factor: Any, leaf: Any) -> Any:
    """Multiply, without letting the dtype of a 0-d factor widen the leaf."""
    if is_array(factor) and is_array(leaf) and factor.dtype != leaf.dtype:
        factor = backend_of(factor).namespace.astype(factor, leaf.dtype)
    return _combine("multiply", factor, leaf)


def add(a: Tree, b: Tree, /) -> Tree:
    """Return `a + b`, leaf by leaf.

    Parameters
    ----------
    a, b
        Containers of one structure.

    Returns
    -------
    container
        Like `a`.

    Examples
    --------
    >>> add((1, [2]), (10, [20]))
    (11, [22])
    """
    return map(lambda x, y: _combine("add", x, y), a, b)


def sub(a: Tree, b: Tree, /) -> Tree:
    """Return `a - b`, leaf by leaf.

    Parameters
    ----------
    a, b
        Containers of one structure.

    Returns
    -------
    container
        Like `a`.

    Examples
    --------
    >>> sub((11, [22]), (10, [20]))
    (1, [2])
    """
    return map(lambda x, y: _combine("subtract", x, y), a, b)


def zeros_like(tree: Tree, /) -> Tree:
    """Return a container of zeros of the same shapes, dtypes and devices.

    Parameters
    ----------
    tree
        Container of arrays and numbers.

    Returns
    -------
    container
        Zeros.

    Examples
    --------
    >>> import numpy as np
    >>> zeros_like({"w": np.ones(2), "b": 3.0})
    {'w': array([0., 0.]), 'b': 0.0}
    """
    return map(lambda x: backend_of(x).namespace.zeros_like(x) if is_array(x) else type(x)(0), tree)
