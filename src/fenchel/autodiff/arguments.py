"""What a derivative is taken with respect to: selection, checks and conversion of arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optree

from ..arrays import dtype_name, float_info
from ..backend import Backend, backend_of
from ..trees import find_backend, is_array, leaves

__all__ = ["Selection", "as_primals", "check_leaves", "leaf_names", "like", "match", "select"]

Tree = Any

_REAL_OR_COMPLEX = ("real floating", "complex floating")


@dataclass(frozen=True)
class Selection:
    """A function of the differentiated arguments alone, and these arguments."""

    function: Callable[..., Any]
    primals: tuple[Any, ...]
    backend: Backend
    single: bool  # argnums was one integer: results are not wrapped in a tuple


def select(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    argnums: int | tuple[int, ...],
) -> Selection:
    """Bind the arguments of `f` that are not differentiated.

    Raises
    ------
    TypeError
        If a leaf of a differentiated argument is no floating array or Python float.
    ValueError
        If `argnums` is out of range.
    """
    single = isinstance(argnums, int)
    places = _places(argnums, len(args))
    if len(args) == 1 and not kwargs and is_array(args[0]):  # the common case, without containers
        backend = backend_of(args[0])
        _check_leaf("args[0]", args[0], backend)
        return Selection(f, args, backend, single)
    backend, chosen = as_primals(tuple(args[i] for i in places), others=(args, kwargs), at=places)

    def bound(*primals: Any) -> Any:
        full = list(args)
        for i, primal in zip(places, primals, strict=True):
            full[i] = primal
        return f(*full, **kwargs)

    return Selection(bound, chosen, backend, single)


def _places(argnums: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in wanted:
        if not -count <= i < count:
            raise ValueError(
                f"`argnums` must be in [{-count}, {count}) for {count} arguments; got {argnums}"
            )
    places = tuple(i % count for i in wanted)
    if len(set(places)) < len(places):
        raise ValueError(f"`argnums` must name each argument once; got {argnums}")
    return places


def as_primals(
    primals: tuple[Any, ...], *, others: Tree = None, at: tuple[int, ...] | None = None
) -> tuple[Backend, tuple[Any, ...]]:
    """Return the backend of some containers, and these with Python floats made into arrays.

    The library, dtype and device of a float are those of the first floating array among the
    containers, or else among `others`.

    Raises
    ------
    TypeError
        If a leaf is neither a floating array nor a Python float, or if there is no array at all.
    """
    backend = find_backend(primals) or find_backend(others)
    if backend is None:
        raise TypeError(
            "at least one argument must hold an array; got "
            + (", ".join(type(p).__qualname__ for p in primals) or "no argument")
        )
    checked = []
    for place, primal in zip(at or range(len(primals)), primals, strict=True):
        leaves, structure = backend.tree_flatten(primal)
        names = leaf_names(primal, f"args[{place}]", len(leaves))
        for name, leaf in zip(names, leaves, strict=True):
            _check_leaf(name, leaf, backend)
        if all(is_array(leaf) for leaf in leaves):
            checked.append(primal)
            continue
        model = _model(backend, (primals, others))
        leaves = [leaf if is_array(leaf) else like(backend, leaf, model) for leaf in leaves]
        checked.append(backend.tree_unflatten(structure, leaves))
    return backend, tuple(checked)


def leaf_names(tree: Tree, root: str, count: int) -> list[str]:
    """Return the Python expression of each leaf, for messages."""
    accessors = optree.tree_accessors(tree)
    if len(accessors) != count:  # a node that only the library can open
        return [f"{root} (leaf {i})" for i in range(count)]
    return [accessor.codify(root) for accessor in accessors]


def check_leaves(name: str, tree: Tree) -> None:
    """Raise TypeError unless the leaves of a container are real floating arrays."""
    found = leaves(tree)
    if all(is_array(leaf) and float_info(leaf.dtype) is not None for leaf in found):
        return
    for place, leaf in zip(leaf_names(tree, name, len(found)), found, strict=True):
        if not is_array(leaf):
            raise TypeError(f"`{place}` must be a floating array; got {type(leaf).__qualname__}")
        if float_info(leaf.dtype) is None:
            raise TypeError(f"`{place}` must have a real floating dtype; got {dtype_name(leaf)}")


def _check_leaf(name: str, leaf: Any, backend: Backend) -> None:
    if is_array(leaf):
        # Real dtypes are looked up in a table first: `isdtype` takes microseconds.
        known = float_info(leaf.dtype) is not None
        if not known and not backend.namespace.isdtype(leaf.dtype, _REAL_OR_COMPLEX):
            raise TypeError(
                f"`{name}` must have a floating dtype to be differentiated; got {leaf.dtype}"
            )
    elif not isinstance(leaf, float):
        raise TypeError(
            f"`{name}` must be a floating array or a Python float to be differentiated; "
            f"got {type(leaf).__qualname__}"
        )


def _model(backend: Backend, tree: Tree) -> Any:
    """Return the first floating array of a container, else None."""
    for leaf in backend.tree_flatten(tree)[0]:
        if is_array(leaf) and backend.namespace.isdtype(leaf.dtype, "real floating"):
            return leaf
    return None


def like(backend: Backend, value: Any, model: Any) -> Any:
    """Return the number `value` as an array with the dtype and device of `model`."""
    xp = backend.namespace
    if model is None:
        return xp.asarray(value)
    return xp.asarray(value, dtype=model.dtype, device=backend.device_of(model))


def match(backend: Backend, name: str, tree: Tree, pattern: Tree) -> Tree:
    """Return `tree` with the structure, shapes and dtypes of `pattern`.

    Python numbers stand for arrays of shape (), and dtypes are cast.

    Raises
    ------
    ValueError
        If structures or shapes differ.
    """
    xp = backend.namespace
    if is_array(pattern) and is_array(tree):  # the common case, without containers
        same = tree.dtype == pattern.dtype and tuple(tree.shape) == tuple(pattern.shape)
        if same:
            return tree
    wanted, structure = backend.tree_flatten(pattern)
    leaves, found = backend.tree_flatten(tree)
    if found != structure:
        raise ValueError(f"`{name}` must have the structure {structure}; got {found}")
    matched = []
    for leaf, model in zip(leaves, wanted, strict=True):
        if not is_array(model):
            matched.append(leaf)
            continue
        if not is_array(leaf):
            leaf = like(backend, leaf, model)
        if tuple(leaf.shape) != tuple(model.shape):
            raise ValueError(
                f"`{name}` must have the shape {tuple(model.shape)}; got {tuple(leaf.shape)}"
            )
        matched.append(leaf if leaf.dtype == model.dtype else xp.astype(leaf, model.dtype))
    return backend.tree_unflatten(structure, matched)
