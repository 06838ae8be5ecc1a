"""Adapter for any library that follows the array API standard and has no derivatives of its own.

Derivatives come from `fenchel.autodiff.tape`, control flow from Python, and everything else from
array-API calls, so that NumPy, CuPy, the strict library and third parties differ only in kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optree

__all__ = ["GenericBackend"]

Array = Any


@dataclass(frozen=True, eq=False)
class GenericBackend:
    """Adapter over the array API alone.

    Parameters
    ----------
    name
        Name of the library, as `backend_of` reports it.
    namespace
        Its array namespace.

    Examples
    --------
    >>> import numpy as np
    >>> backend = GenericBackend(name="numpy", namespace=np)
    >>> backend.segment_sum(np.asarray([1.0, 2.0, 4.0]), np.asarray([0, 0, 2]), 3).tolist()
    [3.0, 0.0, 4.0]
    """

    name: str
    namespace: Any
    native_autodiff: bool = False
    # The pullback of a gradient just computed costs less than two forward sweeps.
    reverse_over_reverse: bool = True

    # -- what an array is ------------------------------------------------------------------

    def is_traced(self, x: Array) -> bool:
        """Return False: an eager library always has its values."""
        return False

    def device_of(self, x: Array) -> Any:
        """Device of `x`."""
        return getattr(x, "device", None)

    def stop_gradient(self, x: Array) -> Array:
        """Return `x`: a plain array carries no derivative."""
        return x

    # -- derivatives: the tape -------------------------------------------------------------

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Return a function giving the value of `f` and its gradient, by the tape."""
        from fenchel.autodiff import tape

        return tape.value_and_grad(f, argnums, has_aux)

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value of `f` and its pullback, by the tape."""
        from fenchel.autodiff import tape

        return tape.vjp(f, *primals)

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `f` and its derivative along `tangents`, by the tape."""
        from fenchel.autodiff import tape

        return tape.jvp(f, primals, tangents)

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value of `f` and its derivative as a function, by the tape."""
        from fenchel.autodiff import tape

        return tape.linearize(f, *primals)

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Any:
        """Map `f` by a loop, and stack."""
        from fenchel.autodiff import tape

        return tape.vmap(f, in_axes, out_axes)

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return `f`: there is no compiler."""
        return f

    def checkpoint(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return `f`: the tape keeps every intermediate."""
        return f

    # -- what the standard lacks -----------------------------------------------------------

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of each row that share an id, by a segmented scan over sorted ids.

        Each of the log2(n) passes doubles the reach of the scan. Differences of one running sum
        would need a single pass, but lose three digits in float32 at n = 1e5.
        """
        xp, n = self.namespace, values.shape[-1]
        order = xp.argsort(ids, axis=-1, stable=True)
        ids = xp.take_along_axis(ids, order, axis=-1)
        total = xp.take_along_axis(values, order, axis=-1)
        reach = 1
        while reach < n:
            same = ids[..., reach:] == ids[..., :-reach]
            before = xp.where(same, total[..., :-reach], xp.zeros_like(total[..., reach:]))
            total = xp.concat((total[..., :reach], total[..., reach:] + before), axis=-1)
            reach *= 2
        # The last entry of every segment of every row, by one search: ids and rows as one number.
        batch, rows = ids.shape[:-1], math.prod(ids.shape[:-1])
        device = self.device_of(ids)
        if n == 0:
            return xp.zeros((*batch, num_segments), dtype=values.dtype, device=device)
        first = xp.arange(rows, dtype=xp.int64, device=device) * num_segments
        keys = xp.astype(xp.reshape(ids, (rows, n)), xp.int64) + xp.expand_dims(first, axis=-1)
        keys = xp.reshape(keys, (-1,))
        segments = xp.arange(rows * num_segments, dtype=xp.int64, device=device)
        ends = xp.searchsorted(keys, segments, side="right") - 1
        ends = xp.maximum(ends, xp.zeros_like(ends))
        present = xp.take(keys, ends) == segments
        sums = xp.take(xp.reshape(total, (-1,)), ends)
        sums = xp.where(present, sums, xp.zeros_like(sums))
        return xp.reshape(sums, (*batch, num_segments))

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis."""
        return x + self.segment_sum(updates, indices, x.shape[-1])

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        xp = self.namespace
        # A stable ascending sort of -x keeps the lower index first among equals.
        order = xp.argsort(-x, axis=-1, stable=True)[..., :k]
        return xp.take_along_axis(x, order, axis=-1), order

    # -- control flow ----------------------------------------------------------------------

    def while_loop(self, cond: Any, body: Any, init: Any) -> Any:
        """Apply `body` while `cond` holds."""
        carry = init
        while bool(cond(carry)):
            carry = body(carry)
        return carry

    def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
        """Apply `body(i, carry)` for i from `lower` to `upper - 1`."""
        carry = init
        for i in range(lower, upper):
            carry = body(i, carry)
        return carry

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f` over the leading axis of `xs`, and stack what it returns."""
        leaves, structure = self.tree_flatten(xs)
        steps = leaves[0].shape[0] if leaves else int(length or 0)
        carry, rows = init, []
        for i in range(steps):
            carry, y = f(carry, self.tree_unflatten(structure, [leaf[i, ...] for leaf in leaves]))
            rows.append(self.tree_flatten(y))
        if not rows:
            return carry, None
        xp = self.namespace
        stacked = [xp.stack(column) for column in zip(*(row[0] for row in rows), strict=True)]
        return carry, self.tree_unflatten(rows[0][1], stacked)

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        return true_fn(*operands) if bool(pred) else false_fn(*operands)

    # -- randomness, special functions, kernels ----------------------------------------------

    def sampler(self, rng: Any) -> Any:
        """Draws of NumPy, carried over to the library."""
        from .sampling import NumPySampler

        return NumPySampler(rng, self.from_host)

    def from_host(self, x: Array) -> Array:
        """Return a NumPy array as an array of the library, on its default device."""
        return self.namespace.asarray(x)

    def to_host(self, x: Array) -> Any:
        """Return a NumPy copy of `x`, by DLPack."""
        import numpy as np

        return np.from_dlpack(x).copy()

    def special(self, name: str) -> Callable[..., Any] | None:
        """Return None: the standard has no special functions."""
        return None

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Return None: the reference kernels serve."""
        return None

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """Return None: the formula serves."""
        return None

    def fused_rule(self, name: str) -> Any:
        """Return None: there is no fused rule for the tape."""
        return None

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code on host copies of `arrays`, and carry the result back."""
        result = f(*(self.to_host(x) for x in arrays))
        leaves, structure = self.tree_flatten(result)
        return self.tree_unflatten(structure, [self.from_host(leaf) for leaf in leaves])

    # -- containers --------------------------------------------------------------------------

    def tree_flatten(self, tree: Any) -> tuple[list[Any], Any]:
        """Leaves of a container, and its structure."""
        leaves, structure = optree.tree_flatten(tree)
        return list(leaves), structure

    def tree_unflatten(self, structure: Any, leaves: Any) -> Any:
        """Inverse of `tree_flatten`."""
        return optree.tree_unflatten(structure, leaves)

    def describe(self) -> dict[str, Any]:
        """Version, devices and kernels, as `fenchel.backends` reports them."""
        return {
            "version": getattr(self.namespace, "__version__", None),
            "devices": _devices(self.namespace),
            "kernels": "reference",
        }


def _devices(xp: Any) -> list[str]:
    info = getattr(xp, "__array_namespace_info__", None)
    return [str(device) for device in info().devices()] if info else ["cpu"]
