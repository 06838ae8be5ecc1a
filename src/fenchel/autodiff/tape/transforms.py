"""Reverse and forward mode over containers of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import optree

from .levels import ForwardLevel, ReverseLevel
from .namespace import TapeNamespace, space_of
from .rules import cast
from .traced import Array, Traced, strip

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
    leaves, structure = _flatten(primals)
    space = _common_space(leaves)
    level = ReverseLevel(space)
    inputs = [level.leaf(_as_float(space, x)) if _is_active(x) else x for x in leaves]
    used = [x for x in inputs if type(x) is Traced and x._level is level]
    out = f(*_unflatten(structure, inputs))
    out_leaves, out_structure = _flatten(out)
    out_slots = [_slot(y, level) for y in out_leaves]
    values = [_lower(y, level) for y in out_leaves]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = _match_cotangent(space, cotangent, out_structure, values)
        pairs = [
            (s, g) for s, g in zip(out_slots, given, strict=True) if s is not None and g is not None
        ]
        found = level.pull(pairs, len(used))
        grads = [
            space.zeros_like(x._value) if g is None else g for x, g in zip(used, found, strict=True)
        ]
        queue = iter(grads)
        filled = [next(queue) if _is_active(x) else None for x in leaves]
        return _unflatten(structure, filled)  # type: ignore[no-any-return]

    return _unflatten(out_structure, values), pullback


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
    leaves, structure = _flatten(tuple(primals))
    directions = _flatten_as(structure, tuple(tangents), len(leaves))
    space = _common_space(leaves)
    level = ForwardLevel(space)
    inputs = []
    for x, t in zip(leaves, directions, strict=True):
        if _is_active(x):
            value = _as_float(space, x)
            inputs.append(level.leaf(value, _tangent(space, t, value, "tangents")))
        else:
            inputs.append(x)
    out_leaves, out_structure = _flatten(f(*_unflatten(structure, inputs)))
    values = [_lower(y, level) for y in out_leaves]
    found = [
        y._slot if type(y) is Traced and y._level is level else _zero(space, v)
        for y, v in zip(out_leaves, values, strict=True)
    ]
    return _unflatten(out_structure, values), _unflatten(out_structure, found)


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
    leaves, structure = _flatten(primals)
    space = _common_space(leaves)
    level = ReverseLevel(space)
    inputs = [level.leaf(_as_float(space, x)) if _is_active(x) else x for x in leaves]
    bases = [_lower(x, level) for x in inputs]
    out_leaves, out_structure = _flatten(f(*_unflatten(structure, inputs)))
    out_slots = [_slot(y, level) for y in out_leaves]
    values = [_lower(y, level) for y in out_leaves]

    def pushforward(*tangents: Any) -> Any:
        given = _flatten_as(structure, tangents, len(leaves))
        active = [
            _tangent(space, t, base, "tangents")
            for x, t, base in zip(leaves, given, bases, strict=True)
            if _is_active(x)
        ]
        held = level.push(list(active))
        found = [
            held[s] if s is not None and held[s] is not None else _zero(space, v)
            for s, v in zip(out_slots, values, strict=True)
        ]
        return _unflatten(out_structure, found)

    return _unflatten(out_structure, values), pushforward


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
        value, pullback = vjp(_marking(partial, level_mark), *[args[i] for i in places])
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
    if type(x) is Traced or array_api_compat.is_array_api_obj(x):
        return strip(x)
    return optree.tree_map(strip, x)


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


# -- containers ----------------------------------------------------------------------------------


class _Leaf:
    """The structure of a single array: spares the container machinery on the usual path."""


_LEAF = _Leaf()
_FLAT_TYPES: set[type] = {Traced, float}


def _flatten(tree: Any) -> tuple[list[Any], Any]:
    if type(tree) in _FLAT_TYPES:
        return [tree], _LEAF
    if array_api_compat.is_array_api_obj(tree):
        _FLAT_TYPES.add(type(tree))
        return [tree], _LEAF
    if type(tree) is tuple and all(type(x) in _FLAT_TYPES for x in tree):
        return list(tree), len(tree)
    leaves, structure = optree.tree_flatten(tree, none_is_leaf=True)
    return list(leaves), structure


def _unflatten(structure: Any, leaves: list[Any]) -> Any:
    if structure is _LEAF:
        return leaves[0]
    if type(structure) is int:
        return tuple(leaves)
    return optree.tree_unflatten(structure, leaves)


def _flatten_as(structure: Any, tree: Any, size: int) -> list[Any]:
    """Return the leaves of a container of given structure; None may stand for any subtree."""
    if tree is None:
        return [None] * size
    leaves, found = _flatten(tree)
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


# -- leaves --------------------------------------------------------------------------------------


def _is_active(x: Any) -> bool:
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


def _common_space(leaves: list[Any]) -> TapeNamespace:
    space = None
    active = False
    for x in leaves:
        active = active or _is_active(x)
        if type(x) is Traced or array_api_compat.is_array_api_obj(x):
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
        import array_api_compat.numpy as host

        space = space_of(host.asarray(0.0))
    return space


def _as_float(space: TapeNamespace, x: Any) -> Array:
    return space.base.asarray(x) if type(x) is float or type(x) is complex else x


def _slot(y: Any, level: Any) -> Any:
    return y._slot if type(y) is Traced and y._level is level else None


def _lower(y: Any, level: Any) -> Any:
    return y._value if type(y) is Traced and y._level is level else y


def _zero(space: TapeNamespace, value: Any) -> Any:
    """Zero tangent of a constant value: None where the value has no derivative at all."""
    if type(value) is float or type(value) is complex:
        return 0.0
    return space.zeros_like(value) if _is_active(value) else None


def _tangent(space: TapeNamespace, t: Any, x: Array, name: str) -> Array:
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


def _match_cotangent(
    space: TapeNamespace, cotangent: Any, structure: Any, values: list[Any]
) -> list[Any]:
    given = _flatten_as(structure, cotangent, len(values))
    return [
        None if g is None or not _is_active(v) else _tangent(space, g, v, "cotangent")
        for g, v in zip(given, values, strict=True)
    ]


# -- gradients -----------------------------------------------------------------------------------


def _position(i: int, n: int) -> int:
    if not -n <= i < n:
        raise ValueError(f"`argnums` must be in [-{n}, {n}); got {i} with {n} arguments")
    return i % n


def _check_scalar(value: Any) -> None:
    shape = () if type(value) is float else getattr(value, "shape", None)
    if shape != () or not _is_active(value):
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
    return space.ones_like(strip(value))


def _marking(f: Callable[..., Any], mark: list[Any]) -> Callable[..., Any]:
    """Return `f` that notes the level its arguments are traced at, to lower `aux` from it."""

    def marked(*args: Any) -> Any:
        leaves, _ = _flatten(args)
        traced = [x for x in leaves if type(x) is Traced]
        mark.append(max((x._level for x in traced), key=lambda level: level.depth, default=None))
        return f(*args)

    return marked


def _lower_tree(tree: Any, mark: list[Any]) -> Any:
    return optree.tree_map(lambda x: _lower(x, mark[0]), tree, none_is_leaf=True)
