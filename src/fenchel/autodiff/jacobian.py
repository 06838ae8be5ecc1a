"""Dense Jacobians and Hessians."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..arrays import check_choice
from ..backend import Backend
from .arguments import Selection, select
from .engines import Method, engine_of
from .reverse import grad

__all__ = ["hessian", "jacobian"]


def jacobian(
    f: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    mode: str | None = None,
    *,
    method: Method | None = None,
) -> Callable[..., Any]:
    """Return the Jacobian of a function as a function of the same arguments.

    Parameters
    ----------
    f
        Function from containers of arrays to a container of floating arrays.
    argnums
        Which arguments to differentiate.
    mode
        "forward" (a sweep for each input entry), "reverse" (one for each output entry), or None:
        forward where there are at most as many inputs as outputs.
    method
        As for `grad`.

    Returns
    -------
    callable
        Function giving the container of the value, in which each array of shape (o...) is replaced
        by a container like the differentiated arguments with arrays of shape (o..., i...).

    Raises
    ------
    TypeError
        If a differentiated leaf is not floating.
    ValueError
        If `argnums` or `mode` is out of range.

    Notes
    -----
    The sweeps are batched by `vmap`. *Derivatives*: transformations nest.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(lambda x: x**2)(np.asarray([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    if mode is not None:
        check_choice("mode", mode, ("forward", "reverse"))

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        chosen = select(f, args, kwargs, argnums)
        engine = engine_of(method, chosen.backend)
        if mode == "forward" or method in ("complex", "finite"):
            return _forward(chosen, engine)
        out, pullback = engine.vjp(chosen.function, *chosen.primals)
        if mode is None and _size(chosen.backend, chosen.primals) <= _size(chosen.backend, out):
            return _forward(chosen, engine)
        return _reverse(chosen, engine, out, pullback)

    return evaluate


def hessian(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return the Hessian of a scalar function as a function of the same arguments.

    Parameters
    ----------
    f
        Function that returns an array of shape ().
    argnums
        Which arguments to differentiate.

    Returns
    -------
    callable
        Function giving, for a container with leaves of shapes (i...) and (j...), a container of
        containers with arrays of shape (i..., j...).

    Raises
    ------
    TypeError
        If a differentiated leaf is not floating, or `f` returns no floating scalar.
    ValueError
        If `argnums` is out of range, or the value is not of shape ().

    Notes
    -----
    Forward over reverse mode, batched by `vmap`. *Derivatives*: transformations nest.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.asarray([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(f, argnums), argnums, "forward")


def _size(backend: Backend, tree: Any) -> int:
    return sum(prod(leaf.shape) for leaf in backend.tree_flatten(tree)[0])


def _forward(chosen: Selection, engine: Any) -> Any:
    """One sweep for each input entry, a batch for each input leaf."""
    backend, xp = chosen.backend, chosen.backend.namespace
    leaves, structure = backend.tree_flatten(chosen.primals)
    zeros = [xp.zeros_like(leaf) for leaf in leaves]
    columns: list[list[Any]] = []
    out_structure = None
    for place, leaf in enumerate(leaves):

        def sweep(direction: Any, place: int = place) -> Any:
            tangents = backend.tree_unflatten(
                structure, [*zeros[:place], direction, *zeros[place + 1 :]]
            )
            return engine.jvp(chosen.function, chosen.primals, tangents)[1]

        slopes, out_structure = backend.tree_flatten(_over_basis(backend, engine, leaf, sweep))
        count = len(leaf.shape)
        columns.append([_split_front(xp, slope, leaf.shape, count) for slope in slopes])
    return _assemble(chosen, structure, out_structure, columns)


def _reverse(chosen: Selection, engine: Any, out: Any, pullback: Callable[[Any], Any]) -> Any:
    """One sweep for each output entry, a batch for each output leaf."""
    backend, xp = chosen.backend, chosen.backend.namespace
    structure = backend.tree_flatten(chosen.primals)[1]
    leaves, out_structure = backend.tree_flatten(out)
    zeros = [xp.zeros_like(leaf) for leaf in leaves]
    rows: list[list[Any]] = []
    for place, leaf in enumerate(leaves):

        def sweep(direction: Any, place: int = place) -> Any:
            cotangent = backend.tree_unflatten(
                out_structure, [*zeros[:place], direction, *zeros[place + 1 :]]
            )
            return tuple(pullback(cotangent))

        slopes = backend.tree_flatten(_over_basis(backend, engine, leaf, sweep))[0]
        rows.append([xp.reshape(s, (*leaf.shape, *s.shape[1:])) for s in slopes])
    columns = [list(column) for column in zip(*rows, strict=True)]
    return _assemble(chosen, structure, out_structure, columns)


def _over_basis(backend: Backend, engine: Any, leaf: Any, sweep: Callable[[Any], Any]) -> Any:
    """Return `sweep` of each basis direction of a leaf, stacked in front."""
    xp = backend.namespace
    shape, count = tuple(leaf.shape), prod(leaf.shape)
    if count == 0:
        empty = sweep(xp.zeros_like(leaf))
        slopes, structure = backend.tree_flatten(empty)
        return backend.tree_unflatten(
            structure, [xp.zeros_like(xp.stack([s]))[:0, ...] for s in slopes]
        )
    basis = xp.eye(count, dtype=leaf.dtype, device=backend.device_of(leaf))
    return engine.vmap(sweep)(xp.reshape(basis, (count, *shape)))


def _split_front(xp: Any, slope: Any, shape: Any, count: int) -> Any:
    """Move the front axis of `slope` to the back and split it into `shape`."""
    moved = xp.moveaxis(slope, 0, -1)
    return xp.reshape(moved, (*moved.shape[:-1], *shape))


def _assemble(chosen: Selection, structure: Any, out_structure: Any, columns: Any) -> Any:
    """Nest arrays [input leaf][output leaf] as containers of the inputs in one of the outputs."""
    backend = chosen.backend
    inner = []
    for blocks in zip(*columns, strict=True):
        tree = backend.tree_unflatten(structure, list(blocks))
        inner.append(tree[0] if chosen.single else tree)
    return backend.tree_unflatten(out_structure, inner)
