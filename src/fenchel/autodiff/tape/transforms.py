"""Reverse and forward mode over containers of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from .containers import (
    as_float,
    common_space,
    flatten,
    flatten_as,
    is_active,
    lower,
    match_cotangent,
    match_tangent,
    slot_of,
    unflatten,
    zero_of,
)
from .levels import ForwardLevel, ReverseLevel
from .namespace import TapeNamespace, is_array, space_of
from .traced import Array, Traced, settle, strip

__all__ = ["jvp", "linearize", "stop_gradient", "transpose_of", "value_and_grad", "vjp"]


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return the value of a function and its pullback.

    Parameters
    ----------
    f
        Function of the primals; it returns a container of arrays.
    *primals
        Containers of arrays of any shape; Python floats count as 0-d arrays.

    Returns
    -------
    out
        The value `f(*primals)`.
    pullback
        `pullback(cotangent)`, with a cotangent shaped like `out`, returns a tuple with the
        cotangent of each primal; integer and boolean arrays have the cotangent None.

    Raises
    ------
    TypeError
        If the primals hold no floating array, or arrays of two libraries.

    Notes
    -----
    *Derivatives*: the pullback is differentiable in the cotangent and, within an outer level, in
    the primals.

    Examples
    --------
    >>> import numpy as np
    >>> y, pullback = vjp(lambda x: np.sum(np.sin(x)), np.asarray([0.0, 1.0]))
    >>> pullback(1.0)[0].round(4).tolist()
    [1.0, 0.5403]
    """
    return _vjp(f, primals, once=False)


def _vjp(f: Callable[..., Any], primals: tuple[Any, ...], once: bool) -> tuple[Any, Any]:
    """`vjp`, with a pullback that can be used a single time if `once`."""
    leaves, structure = flatten(primals)
    space = common_space(leaves)
    level = ReverseLevel(space)
    inputs = [level.leaf(as_float(space, x)) if is_active(x) else x for x in leaves]
    used = [x for x in inputs if type(x) is Traced and x._level is level]
    out = f(*unflatten(structure, inputs))
    out_leaves, out_structure = flatten(out)
    out_slots = [slot_of(y, level) for y in out_leaves]
    values = [lower(y, level) for y in out_leaves]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = match_cotangent(space, cotangent, out_structure, values)
        pairs = [
            (s, g) for s, g in zip(out_slots, given, strict=True) if s is not None and g is not None
        ]
        found = level.pull(pairs, len(used), once)
        grads = [
            space.zeros_like(x._value) if g is None else g for x, g in zip(used, found, strict=True)
        ]
        queue = iter(grads)
        filled = [next(queue) if is_active(x) else None for x in leaves]
        return unflatten(structure, [settle(g) for g in filled])  # type: ignore[no-any-return]

    return unflatten(out_structure, values), pullback


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return the value of a function and its derivative along tangents.

    Parameters
    ----------
    f
        Function of the primals; it returns a container of arrays.
    primals
        Tuple of containers of arrays.
    tangents
        Tuple of containers of the same structure and shapes; anything stands for the tangent of
        an integer array, and None for zero.

    Returns
    -------
    out
        The value `f(*primals)`.
    tangent
        The derivative, shaped like `out`; None for integer and boolean values.

    Raises
    ------
    TypeError
        If the primals hold no floating array, or arrays of two libraries.
    ValueError
        If a tangent has another shape than its primal.

    Notes
    -----
    *Derivatives*: both results are differentiable at outer levels, in primals and tangents.

    Examples
    --------
    >>> import numpy as np
    >>> y, dy = jvp(lambda x: x * x, (np.asarray(3.0),), (np.asarray(1.0),))
    >>> float(y), float(dy)
    (9.0, 6.0)
    """
    leaves, structure = flatten(tuple(primals))
    directions = flatten_as(structure, tuple(tangents), len(leaves))
    space = common_space(leaves)
    level = ForwardLevel(space)
    inputs = []
    for x, t in zip(leaves, directions, strict=True):
        if is_active(x):
            value = as_float(space, x)
            inputs.append(level.leaf(value, match_tangent(space, t, value, "tangents")))
        else:
            inputs.append(x)
    out_leaves, out_structure = flatten(f(*unflatten(structure, inputs)))
    values = [lower(y, level) for y in out_leaves]
    found = [
        y._slot if type(y) is Traced and y._level is level else zero_of(space, v)
        for y, v in zip(out_leaves, values, strict=True)
    ]
    return unflatten(out_structure, values), unflatten(out_structure, [settle(t) for t in found])


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the value of a function and its derivative as a linear function.

    The function runs once; each push costs one pass over what it recorded.

    Parameters
    ----------
    f
        Function of the primals; it returns a container of arrays.
    *primals
        Containers of arrays.

    Returns
    -------
    out
        The value `f(*primals)`.
    pushforward
        `pushforward(*tangents)`, one container a primal, returns the tangent of `out`.

    Raises
    ------
    TypeError
        If the primals hold no floating array, or arrays of two libraries.

    Notes
    -----
    *Derivatives*: the pushforward is differentiable in the tangents.

    Examples
    --------
    >>> import numpy as np
    >>> y, push = linearize(np.square, np.asarray([1.0, 3.0]))
    >>> push(np.asarray([1.0, 0.0])).tolist(), push(np.asarray([0.0, 1.0])).tolist()
    ([2.0, 0.0], [0.0, 6.0])
    """
    leaves, structure = flatten(primals)
    space = common_space(leaves)
    level = ReverseLevel(space)
    inputs = [level.leaf(as_float(space, x)) if is_active(x) else x for x in leaves]
    bases = [lower(x, level) for x in inputs]
    out_leaves, out_structure = flatten(f(*unflatten(structure, inputs)))
    out_slots = [slot_of(y, level) for y in out_leaves]
    values = [lower(y, level) for y in out_leaves]

    def pushforward(*tangents: Any) -> Any:
        given = flatten_as(structure, tangents, len(leaves))
        active = [
            match_tangent(space, t, base, "tangents")
            for x, t, base in zip(leaves, given, bases, strict=True)
            if is_active(x)
        ]
        held = level.push(list(active))
        found = [
            held[s] if s is not None and held[s] is not None else zero_of(space, v)
            for s, v in zip(out_slots, values, strict=True)
        ]
        return unflatten(out_structure, [settle(t) for t in found])

    return unflatten(out_structure, values), pushforward


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the value of a scalar function and its gradient.

    Parameters
    ----------
    f
        Function with a 0-d floating value, or with `has_aux` a pair (value, anything).
    argnums
        Which positional arguments to differentiate.
    has_aux
        Whether `f` returns a pair.

    Returns
    -------
    callable
        It returns `(value, gradient)` or `((value, aux), gradient)`; the gradient is a tuple if
        `argnums` is one.

    Raises
    ------
    TypeError
        At the call: if the value is not a 0-d real floating array.

    Notes
    -----
    *Derivatives*: value and gradient are differentiable at outer levels.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = value_and_grad(lambda x: np.sum(x**2))(np.asarray([1.0, 2.0]))
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """
    single = isinstance(argnums, int)
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        places = tuple(_position(i, len(args)) for i in chosen)
        aux: list[Any] = []

        def partial(*moved: Any) -> Any:
            full = list(args)
            for place, x in zip(places, moved, strict=True):
                full[place] = x
            out = f(*full, **kwargs)
            if has_aux:
                out, extra = out
                aux.append(extra)
            return out

        level_mark: list[Any] = []
        moved = tuple([args[i] for i in places])
        value, pullback = _vjp(_marking(partial, level_mark), moved, once=True)
        _check_scalar(value)
        gradient = pullback(_one_like(value))
        result = (value, _lower_tree(aux[0], level_mark)) if has_aux else value
        return result, gradient[0] if single else gradient

    return evaluate


def stop_gradient(x: Any) -> Any:
    """Return a container with every array stripped of all differentiation levels.

    Parameters
    ----------
    x
        Container of arrays, traced or plain.

    Returns
    -------
    container
        The same container of plain arrays.

    Notes
    -----
    *Derivatives*: zero at every level.

    Examples
    --------
    >>> import numpy as np
    >>> f = lambda x: x * stop_gradient(x)
    >>> float(value_and_grad(f)(np.asarray(3.0))[1])
    3.0
    """
    if is_array(x):
        return constant(x)
    return optree.tree_map(constant, x)


def constant(x: Any) -> Any:
    """Return an array without its levels, in the form that a trace gives to constants."""
    return x._level.space.constant_of(strip(x)) if type(x) is Traced else x


def transpose_of(space: TapeNamespace, linear: Any, x: Array, cotangents: list[Any]) -> Array:
    """Return the transpose at `cotangents` of a linear map of arrays like `x`.

    `linear` returns an array or a sequence of them; a cotangent None stands for zero.
    """
    level = ReverseLevel(space)
    out = linear(level.leaf(space.zeros_like(x)))
    outs = [out] if type(out) is Traced else list(out)
    pairs = [
        (y._slot, g)
        for y, g in zip(outs, cotangents, strict=True)
        if g is not None and type(y) is Traced and y._level is level
    ]
    found = level.pull(pairs, 1)[0]
    return space.zeros_like(x) if found is None else found


# -- gradients -----------------------------------------------------------------------------------


def _position(i: int, n: int) -> int:
    if not -n <= i < n:
        raise ValueError(f"`argnums` must be in [-{n}, {n}); got {i} with {n} arguments")
    return i % n


def _check_scalar(value: Any) -> None:
    shape = () if type(value) is float else getattr(value, "shape", None)
    if shape != () or not is_active(value):
        what = type(value).__qualname__ if shape is None else f"shape {shape}"
        raise TypeError(f"the value of a differentiated function must be a 0-d float; got {what}")
    if type(value) is float:
        return
    if space_of(value).base.isdtype(value.dtype, "complex floating"):
        raise TypeError(f"the value of a differentiated function must be real; got {value.dtype}")


def _one_like(value: Array) -> Array:
    if type(value) is float:
        return 1.0
    space = space_of(value)
    return space.base.ones_like(strip(value))


def _marking(f: Callable[..., Any], mark: list[Any]) -> Callable[..., Any]:
    """Return `f` that notes the level its arguments are traced at, to lower `aux` from it."""

    def marked(*args: Any) -> Any:
        leaves, _ = flatten(args)
        traced = [x for x in leaves if type(x) is Traced]
        mark.append(max((x._level for x in traced), key=lambda level: level.depth, default=None))
        return f(*args)

    return marked


def _lower_tree(tree: Any, mark: list[Any]) -> Any:
    return optree.tree_map(lambda x: lower(x, mark[0]), tree, none_is_leaf=True)
