"""Numerical derivatives with the members of an engine: one direction at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from ..backend import Backend
from ..trees import dot
from .numeric import complex_step, finite_difference

__all__ = ["NumericalEngine"]


@dataclass(frozen=True)
class NumericalEngine:
    """Derivatives by the complex step or by central differences; reverse mode entry by entry."""

    method: str
    backend: Backend

    def _along(self, f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
        scheme = complex_step if self.method == "complex" else finite_difference
        return scheme(lambda packed: f(*packed), tuple(primals), tuple(tangents))

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Value and derivative along the tangents."""
        return f(*primals), self._along(f, primals, tangents)

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Value, and the derivative as a function of the tangents."""
        return f(*primals), lambda *tangents: self._along(f, primals, tangents)

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Value, and a pullback that evaluates `f` once or twice for each input entry."""

        def pullback(cotangent: Any) -> Any:
            return self._sweep(
                primals, lambda basis: dot(self._along(f, primals, basis), cotangent)
            )

        return f(*primals), pullback

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Value and gradient of a scalar function of the differentiated arguments alone."""

        def value_of(*primals: Any) -> Any:
            return f(*primals)[0] if has_aux else f(*primals)

        def evaluate(*primals: Any) -> Any:
            value = f(*primals)
            slopes = self._sweep(primals, lambda basis: self._along(value_of, primals, basis))
            return value, slopes[0] if isinstance(argnums, int) else slopes

        return evaluate

    def vmap(self, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Map over the leading axis by a loop: steps are chosen by values."""
        backend = self.backend

        def mapped(rows: Any) -> Any:
            results = [backend.tree_flatten(f(rows[i, ...])) for i in range(rows.shape[0])]
            columns = zip(*(leaves for leaves, _ in results), strict=True)
            stacked = [backend.namespace.stack(column) for column in columns]
            return backend.tree_unflatten(results[0][1], stacked)

        return mapped

    def _sweep(self, primals: tuple[Any, ...], slope: Callable[[Any], Any]) -> tuple[Any, ...]:
        """Return the scalar `slope` along each basis direction, shaped like the primals."""
        xp, backend = self.backend.namespace, self.backend
        leaves, structure = backend.tree_flatten(primals)
        zeros = [xp.zeros_like(leaf) for leaf in leaves]
        gradient = []
        for place, leaf in enumerate(leaves):
            shape, count = tuple(leaf.shape), prod(leaf.shape)
            indices = xp.arange(count, device=backend.device_of(leaf))
            slopes = []
            for entry in range(count):
                basis = list(zeros)
                basis[place] = xp.reshape(xp.astype(indices == entry, leaf.dtype), shape)
                slopes.append(slope(backend.tree_unflatten(structure, basis)))
            gradient.append(
                xp.astype(xp.reshape(xp.stack(slopes), shape), leaf.dtype) if slopes else leaf
            )
        return tuple(backend.tree_unflatten(structure, gradient))
