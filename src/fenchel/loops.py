"""Loops and branches that are Python on eager libraries and one compiled operation under JAX.

Each function finds the library from the arrays it is given and hands the work to its adapter.
Without any array the loop is Python's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .trees import backend_of_tree, find_backend

__all__ = ["cond", "fori_loop", "scan", "while_loop"]

Tree = Any


def while_loop(cond: Callable[[Any], Any], body: Callable[[Any], Any], init: Tree, /) -> Tree:
    """Apply `body` to the carry while `cond` holds.

    Parameters
    ----------
    cond
        Function from the carry to a scalar boolean.
    body
        Function from the carry to a carry of the same structure, shapes and dtypes.
    init
        First carry: any container.

    Returns
    -------
    container
        The carry for which `cond` no longer holds.

    Notes
    -----
    *Derivatives*: those of the steps taken. Under JAX tracing reverse mode is not available, as
    the number of steps is not known; use `fori_loop` or `scan` there.

    Examples
    --------
    >>> import numpy as np
    >>> while_loop(lambda c: c[0] < 10, lambda c: (2 * c[0], c[1] + 1), (np.asarray(1), 0))[1]
    4
    """
    backend = find_backend(init)
    if backend is not None:
        return backend.while_loop(cond, body, init)
    carry = init
    while cond(carry):
        carry = body(carry)
    return carry


def fori_loop(lower: int, upper: int, body: Callable[[Any, Any], Any], init: Tree, /) -> Tree:
    """Apply `body(i, carry)` for i = lower, ..., upper - 1.

    Parameters
    ----------
    lower, upper
        Python integers.
    body
        Function of the index and the carry; it returns a carry like the one it was given.
    init
        First carry: any container.

    Returns
    -------
    container
        Last carry.

    Notes
    -----
    *Derivatives*: of every order, forward and reverse.

    Examples
    --------
    >>> import numpy as np
    >>> float(fori_loop(0, 3, lambda i, x: x * (i + 1), np.asarray(2.0)))
    12.0
    """
    backend = find_backend(init)
    if backend is not None:
        return backend.fori_loop(lower, upper, body, init)
    carry = init
    for i in range(lower, upper):
        carry = body(i, carry)
    return carry


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Tree,
    xs: Tree = None,
    /,
    length: int | None = None,
) -> tuple[Tree, Tree]:
    """Fold `f(carry, x) -> (carry, y)` over the leading axis of `xs`, and stack the ys.

    Parameters
    ----------
    f
        Step function.
    init
        First carry: any container.
    xs
        Container of arrays of one leading length, or None with `length`.
    length
        Number of steps where `xs` is None.

    Returns
    -------
    tuple
        Last carry, and the ys stacked along a new leading axis.

    Raises
    ------
    TypeError
        If neither `init` nor `xs` holds an array.
    ValueError
        If `xs` is None and `length` is not given.

    Notes
    -----
    *Derivatives*: of every order, forward and reverse.

    Examples
    --------
    >>> import numpy as np
    >>> total, sums = scan(lambda c, x: (c + x, c + x), np.asarray(0.0), np.asarray([1.0, 2.0]))
    >>> float(total), sums.tolist()
    (3.0, [1.0, 3.0])
    """
    if xs is None and length is None:
        raise ValueError("`length` must be given where `xs` is None; got length=None")
    return backend_of_tree(init, xs).scan(f, init, xs, length)


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], /, *operands: Tree
) -> Tree:
    """Apply one of two functions, by a scalar boolean.

    Parameters
    ----------
    pred
        Python boolean, or boolean array of shape ().
    true_fn, false_fn
        Functions of the operands with results of one structure.
    *operands
        Containers.

    Returns
    -------
    container
        Result of the function chosen; under JAX tracing only that one runs.

    Notes
    -----
    *Derivatives*: those of the function chosen; zero with respect to `pred`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.asarray(-3.0)
    >>> float(cond(x > 0, lambda v: v, lambda v: -v, x))
    3.0
    """
    if isinstance(pred, bool):
        return true_fn(*operands) if pred else false_fn(*operands)
    return backend_of_tree(pred, operands).cond(pred, true_fn, false_fn, *operands)
