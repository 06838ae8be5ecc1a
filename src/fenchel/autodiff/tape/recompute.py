"""Checkpoints: a function as one node of the tape, run again when it is pulled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .containers import flatten, is_active, unflatten
from .fitting import deepest, split_level
from .rules import Rule
from .traced import Array, Traced
from .transforms import jvp, vjp

__all__ = ["checkpoint"]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f` that keeps its arguments only, and runs again in the backward pass.

    Parameters
    ----------
    f
        Pure function of containers of arrays. Traced arrays that it closes over switch the
        checkpoint off: what depends on them could not be pulled back to them.

    Returns
    -------
    callable
        The same function.

    Notes
    -----
    *Derivatives*: those of `f`, to any order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.autodiff.tape import value_and_grad
    >>> f = checkpoint(lambda x: np.sum(np.sin(x)))
    >>> value_and_grad(f)(np.asarray([0.0, 1.0]))[1].round(4).tolist()
    [1.0, 0.5403]
    """

    def checkpointed(*args: Any) -> Any:
        leaves, structure = flatten(args)
        level = deepest(leaves)
        if level is None or not hasattr(level, "nodes"):
            return f(*args)
        slots, values = split_level(leaves, level)
        outs, out_structure = flatten(f(*unflatten(structure, list(values))))
        live = [i for i, y in enumerate(outs) if is_active(y) and hasattr(y, "shape")]
        if any(type(outs[i]) is Traced and outs[i]._level.depth >= level.depth for i in live):
            return f(*args)
        places = [i for i, slot in enumerate(slots) if slot is not None]

        def partial(*moved: Array) -> tuple[Array, ...]:
            full = list(values)
            for place, x in zip(places, moved, strict=True):
                full[place] = x
            again = flatten(f(*unflatten(structure, full)))[0]
            return tuple([again[i] for i in live])

        moving = tuple([values[i] for i in places])
        node = _Recomputed(partial)
        results = list(outs)
        kept = tuple([outs[i] for i in live])
        parents = tuple([slots[i] for i in places])
        for i, y in zip(live, level.record_many(node, parents, moving, kept, None), strict=True):
            results[i] = y
        return unflatten(out_structure, results)

    return checkpointed


class _Recomputed(Rule):
    """A function of arrays with a tuple of arrays as its value."""

    def __init__(self, partial: Callable[..., tuple[Array, ...]]) -> None:
        self.partial = partial

    def pull(self, xp: Any, g: Any, node: Any, held: list[Any]) -> None:
        """Record the function again and pull the cotangents back."""
        _, pullback = vjp(self.partial, *node[2])
        for slot, c in zip(node[1], pullback(tuple(g)), strict=True):
            have = held[slot]
            held[slot] = c if have is None else xp.add(have, c)

    def push(self, xp: Any, tangents: Any, args: Any, out: Any, params: Any) -> Any:
        """Push tangents forward."""
        return jvp(self.partial, args, tangents)[1]
