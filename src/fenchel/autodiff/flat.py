"""Functions of containers as functions of their arrays, and engines that are given only these.

Libraries differ in what they take for a container, and in what they do with leaves that are no
arrays. Engines therefore see tuples of arrays alone; everything else is kept aside here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend import Backend
from ..trees import is_array

__all__ = ["FlatEngine", "FlatFunction"]

_ARRAY = object()  # structure of an array alone, which spares the container machinery


class FlatFunction:
    """A function of arrays to a tuple of arrays, made of one on containers."""

    def __init__(self, f: Callable[..., Any], backend: Backend, primals: tuple[Any, ...]) -> None:
        self._f, self._backend = f, backend
        self.leaves: tuple[Any, ...]
        self.structure: Any
        if len(primals) == 1 and is_array(primals[0]):
            self.leaves, self.structure = primals, _ARRAY
        else:
            leaves, self.structure = backend.tree_flatten(primals)
            self.leaves = tuple(leaves)
        self.out_structure: Any = None
        self._constants: list[Any] = []

    def __call__(self, *leaves: Any) -> tuple[Any, ...]:
        """Apply the function, and note the structure of its value."""
        return self.note(self._f(*self.primals_from(leaves)))

    def note(self, out: Any) -> tuple[Any, ...]:
        """Return the arrays of a container, and remember the rest of it."""
        if is_array(out):
            self.out_structure, self._constants = _ARRAY, [None]
            return (out,)
        leaves, self.out_structure = self._backend.tree_flatten(out)
        self._constants = [None if is_array(leaf) else leaf for leaf in leaves]
        return tuple(leaf for leaf in leaves if is_array(leaf))

    def primals_from(self, leaves: Any) -> Any:
        """Return arrays in the container of the primals."""
        if self.structure is _ARRAY:
            return tuple(leaves)
        return self._backend.tree_unflatten(self.structure, list(leaves))

    def value_from(self, arrays: Any) -> Any:
        """Return arrays in the container of the value, next to its other leaves."""
        queue = iter(arrays)
        return self._rebuild([next(queue) if c is None else c for c in self._constants])

    def tangent_from(self, arrays: Any) -> Any:
        """Return arrays in the container of the value; the other leaves do not change."""
        queue = iter(arrays)
        return self._rebuild([next(queue) if c is None else 0.0 for c in self._constants])

    def arrays_of(self, cotangent: Any) -> tuple[Any, ...]:
        """Return the leaves of a container like the value that stand where it has arrays."""
        if self.out_structure is _ARRAY:
            return (cotangent,)
        leaves = self._backend.tree_flatten(cotangent)[0]
        return tuple(leaf for leaf, c in zip(leaves, self._constants, strict=True) if c is None)

    def _rebuild(self, leaves: list[Any]) -> Any:
        if self.out_structure is _ARRAY:
            return leaves[0]
        return self._backend.tree_unflatten(self.out_structure, leaves)


@dataclass(frozen=True)
class FlatEngine:
    """An engine on tuples of arrays, used on containers."""

    engine: Any
    backend: Backend

    def value_and_grad(
        self, f: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool
    ) -> tuple[Any, Any]:
        """Return the value of a scalar function, or `(value, aux)`, and its gradient."""
        flat = FlatFunction(f, self.backend, primals)
        if not flat.leaves:
            return f(*primals), primals

        def scalar(*leaves: Any) -> Any:
            result = f(*flat.primals_from(leaves))
            return (result[0], flat.note(result[1])) if has_aux else result

        everywhere = tuple(range(len(flat.leaves)))
        value, slopes = self.engine.value_and_grad(scalar, everywhere, has_aux)(*flat.leaves)
        if has_aux:
            value = (value[0], flat.value_from(value[1]))
        return value, flat.primals_from(slopes)

    def vjp(
        self, f: Callable[..., Any], primals: tuple[Any, ...]
    ) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value and the pullback."""
        flat = FlatFunction(f, self.backend, primals)
        out, pull = self.engine.vjp(flat, *flat.leaves)
        return flat.value_from(out), lambda cotangent: flat.primals_from(
            pull(flat.arrays_of(cotangent))
        )

    def jvp(
        self, f: Callable[..., Any], primals: tuple[Any, ...], tangents: Any
    ) -> tuple[Any, Any]:
        """Return the value and the derivative along the tangents."""
        flat = FlatFunction(f, self.backend, primals)
        directions = tuple(self.backend.tree_flatten(tangents)[0])
        out, slopes = self.engine.jvp(flat, flat.leaves, directions)
        return flat.value_from(out), flat.tangent_from(slopes)

    def linearize(
        self, f: Callable[..., Any], primals: tuple[Any, ...]
    ) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value, and the derivative as a function of the tuple of tangents."""
        flat = FlatFunction(f, self.backend, primals)
        out, push = self.engine.linearize(flat, *flat.leaves)
        return flat.value_from(out), lambda tangents: flat.tangent_from(
            push(*self.backend.tree_flatten(tangents)[0])
        )
