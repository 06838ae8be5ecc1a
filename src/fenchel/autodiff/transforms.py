"""Mapping over an axis, and constants of differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import backend_of
from ..trees import backend_of_tree, is_array
from ..trees import map as map_leaves

__all__ = ["stop_gradient", "vmap"]


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return `f` mapped over an axis of its arguments.

    Parameters
    ----------
    f
        Function from containers of arrays to a container of arrays.
    in_axes
        Axis to map over, for all arguments or a tuple with one entry an argument; None for an
        argument that is the same in every call.
    out_axes
        Where the mapped axis stands in the results.

    Returns
    -------
    callable
        Function of the stacked arguments; it gives the stacked results.

    Raises
    ------
    TypeError
        If no argument holds an array.
    ValueError
        If the mapped axes differ in length, or nothing is mapped.

    Notes
    -----
    *Derivatives*: those of `f`; `vmap` nests with every transformation.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> vmap(lambda row: np.sum(row**2))(x).tolist()
    [5.0, 25.0]
    """

    def mapped(*args: Any, **kwargs: Any) -> Any:
        bound = (lambda *rows: f(*rows, **kwargs)) if kwargs else f
        return backend_of_tree(args, kwargs).vmap(bound, in_axes, out_axes)(*args)

    return mapped


def stop_gradient(x: Any) -> Any:
    """Return `x` as a constant of differentiation.

    Parameters
    ----------
    x
        Container of arrays; other leaves are returned as they are.

    Returns
    -------
    container
        The same values, with derivative zero.

    Notes
    -----
    *Derivatives*: zero at every level of nesting.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.autodiff import grad
    >>> float(grad(lambda x: x * stop_gradient(x))(np.asarray(3.0)))
    3.0
    """
    if is_array(x):
        return backend_of(x).stop_gradient(x)
    return map_leaves(lambda leaf: stop_gradient(leaf) if is_array(leaf) else leaf, x)
