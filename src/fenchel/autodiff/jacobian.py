"""Dense Jacobians and Hessians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from ..arrays import check_choice
from ..backend import Backend
from .arguments import select
from .engines import Method, engine_of
from .flat import FlatFunction
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
        flat = FlatFunction(chosen.function, chosen.backend, chosen.primals)
        if mode == "forward" or method in ("complex", "finite"):
            blocks = _forward(flat, chosen.backend, engine)
        else:
            out, pullback = engine.vjp(flat, *flat.leaves)
            if mode is None and _size(flat.leaves) <= _size(out):
                blocks = _forward(flat, chosen.backend, engine)
            else:
                blocks = _reverse(flat, chosen.backend, engine, out, pullback)
        trees = [flat.primals_from(row) for row in blocks]
        return flat.value_from([tree[0] if chosen.single else tree for tree in trees])

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


def _size(leaves: Sequence[Any]) -> int:
    return sum(prod(leaf.shape) for leaf in leaves)


def _forward(flat: FlatFunction, backend: Backend, engine: Any) -> list[list[Any]]:
    """One sweep for each input entry, a batch for each input leaf: blocks [output][input]."""
    xp = backend.namespace
    zeros = [xp.zeros_like(leaf) for leaf in flat.leaves]
    columns = []
    for place, leaf in enumerate(flat.leaves):

        def sweep(direction: Any, place: int = place) -> tuple[Any, ...]:
            tangents = (*zeros[:place], direction, *zeros[place + 1 :])
            return tuple(engine.jvp(flat, flat.leaves, tangents)[1])

        slopes = _over_basis(backend, engine, leaf, sweep)
        # Not moveaxis, which torch cannot batch.
        moved = [xp.permute_dims(s, (*range(1, s.ndim), 0)) for s in slopes]
        columns.append([xp.reshape(m, (*m.shape[:-1], *leaf.shape)) for m in moved])
    return [list(row) for row in zip(*columns, strict=True)]


def _reverse(
    flat: FlatFunction, backend: Backend, engine: Any, out: Any, pullback: Callable[[Any], Any]
) -> list[list[Any]]:
    """One sweep for each output entry, a batch for each output leaf: blocks [output][input]."""
    xp = backend.namespace
    zeros = [xp.zeros_like(leaf) for leaf in out]
    rows = []
    for place, leaf in enumerate(out):

        def sweep(direction: Any, place: int = place) -> tuple[Any, ...]:
            return tuple(pullback((*zeros[:place], direction, *zeros[place + 1 :])))

        slopes = _over_basis(backend, engine, leaf, sweep)
        rows.append([xp.reshape(s, (*leaf.shape, *s.shape[1:])) for s in slopes])
    return rows


def _over_basis(
    backend: Backend, engine: Any, leaf: Any, sweep: Callable[[Any], tuple[Any, ...]]
) -> Any:
    """Return the arrays of `sweep` for each basis direction of a leaf, stacked in front."""
    xp = backend.namespace
    shape, count = tuple(leaf.shape), prod(leaf.shape)
    if count == 0:
        return [xp.stack([slope])[:0, ...] for slope in sweep(xp.zeros_like(leaf))]
    basis = xp.eye(count, dtype=leaf.dtype, device=backend.device_of(leaf))
    return engine.vmap(sweep)(xp.reshape(basis, (count, *shape)))
