"""Jacobians of which only few entries are non-zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import as_primals
from .coloring import Coloring
from .forward import linearize
from .reverse import vjp
from .transforms import vmap

__all__ = ["sparse_jacobian"]


def sparse_jacobian(
    f: Callable[[Any], Any], *, coloring: Coloring
) -> Callable[[Any], tuple[Any, Any, Any]]:
    """Return the Jacobian of a function, in coordinates, from one sweep a colour.

    Parameters
    ----------
    f
        Function from an array of n entries to an array of m entries, each of any shape.
    coloring
        Of the sparsity pattern, of shape (m, n). "column" and "star" take forward sweeps, "row"
        reverse ones. For "star", `f` is the gradient of a scalar function.

    Returns
    -------
    callable
        Function of the array that returns `(rows, columns, values)`: the places of the entries of
        the pattern, row by row, and the entries. They are arrays of the library of `x`, places in
        its default integer dtype.

    Raises
    ------
    TypeError
        If `coloring` is no `Coloring`, or `x` is not floating.
    ValueError
        If the pattern has another shape than the Jacobian.

    Notes
    -----
    An entry outside the pattern must be zero: otherwise it is added to one inside. The sweeps are
    batched by `vmap`. *Derivatives*: of `values`, transformations nest.

    References
    ----------
    A. Curtis, M. Powell, J. Reid, "On the estimation of sparse Jacobian matrices", IMA Journal of
    Applied Mathematics 13 (1974).

    Examples
    --------
    >>> import numpy as np
    >>> def f(x):
    ...     return x[1:] * x[:-1]
    >>> band = np.eye(2, 3, dtype=bool) | np.eye(2, 3, k=1, dtype=bool)
    >>> slope = sparse_jacobian(f, coloring=Coloring(band))
    >>> rows, columns, values = slope(np.asarray([1.0, 2.0, 4.0]))
    >>> rows.tolist(), columns.tolist(), values.tolist()
    ([0, 0, 1, 1], [0, 1, 1, 2], [2.0, 1.0, 4.0, 2.0])
    """
    if not isinstance(coloring, Coloring):
        raise TypeError(f"`coloring` must be a Coloring; got {type(coloring).__qualname__}")

    def evaluate(x: Any) -> tuple[Any, Any, Any]:
        backend, (x,) = as_primals((x,))
        xp = backend.namespace
        if coloring.mode == "row":
            out, pullback = vjp(f, x)
            _check_shape(coloring, out, x)
            seeds, sweep = _seeds(backend, coloring, out), lambda g: pullback(g)[0]
        else:
            out, pushforward = linearize(f, x)
            _check_shape(coloring, out, x)
            seeds, sweep = _seeds(backend, coloring, x), pushforward
        rows, columns = (_integers(backend, i, x) for i in (coloring.rows, coloring.columns))
        if not coloring.rows:
            return rows, columns, xp.zeros((0,), dtype=x.dtype, device=backend.device_of(x))
        found = vmap(sweep)(seeds)
        width = _count(found) // coloring.num_colors
        sweeps, entries = (np.asarray(place, dtype=np.int64) for place in coloring.places)
        places = _integers(backend, sweeps * width + entries, x)
        return rows, columns, xp.take(xp.reshape(found, (-1,)), places)

    return evaluate


def _check_shape(coloring: Coloring, out: Any, x: Any) -> None:
    shape = _count(out), _count(x)
    if coloring.shape != shape:
        raise ValueError(
            f"the pattern of `coloring` must have the shape {shape} of the Jacobian; "
            f"got {coloring.shape}"
        )


def _count(x: Any) -> int:
    return int(np.prod(tuple(x.shape), dtype=np.int64))


def _seeds(backend: Any, coloring: Coloring, like: Any) -> Any:
    """Return the sum of the basis directions of each colour, stacked in front."""
    xp, count = backend.namespace, coloring.num_colors
    colors = _integers(backend, coloring.colors, like)
    steps = xp.arange(count, dtype=colors.dtype, device=backend.device_of(like))
    seeds = xp.astype(colors[None, :] == steps[:, None], like.dtype)
    return xp.reshape(seeds, (count, *like.shape))


def _integers(backend: Any, values: Any, like: Any) -> Any:
    """Return integers as an array of the library, on the device of `like`."""
    xp = backend.namespace
    numbers = [int(value) for value in values]
    if not numbers:
        return xp.zeros((0,), dtype=xp.asarray(0).dtype, device=backend.device_of(like))
    return xp.asarray(numbers, device=backend.device_of(like))
