"""The adapter of traced arrays: what `fenchel.backend_of` returns for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...backend import backend_of
from .batching import vmap
from .fused import eager_node, fused_node
from .namespace import TapeNamespace, namespace_over
from .recompute import checkpoint
from .rules import Linear
from .special import PlainSpecial, TracedSpecial
from .traced import Array, Traced, strip
from .transforms import jvp, linearize, stop_gradient, value_and_grad, vjp

__all__ = ["TapeBackend", "tape_backend"]


class TapeBackend:
    """Adapter for traced arrays over the adapter of their library.

    Structure kernels and host calls see plain values, and what they return is a constant. Loops
    are Python loops; conditions are decided on plain values.

    Parameters
    ----------
    base
        Adapter of the library of the plain arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import backend_of
    >>> backend = TapeBackend(backend_of(np.ones(3)))
    >>> backend.name, backend.native_autodiff
    ('numpy', False)
    """

    native_autodiff: bool = False

    def __init__(self, base: Any) -> None:
        self.base = base
        self.name: str = base.name
        self.namespace: TapeNamespace = namespace_over(base.namespace)
        plain = PlainSpecial(base)
        self._special = TracedSpecial(self.namespace, plain)
        self.namespace.__dict__["special"] = self._special
        self.namespace.plain.__dict__["special"] = plain
        summed = Linear(
            lambda xp, g, x, ids, n: xp.take_along_axis(g, ids, axis=-1), lambda xp: self._sums
        )
        self._sums: Callable[..., Array] = summed.bind(self.namespace, base.segment_sum)

    # -- what an array is ------------------------------------------------------------------

    def is_traced(self, x: Array) -> bool:
        """Whether the values of `x` are unavailable: never because of the tape."""
        return bool(self.base.is_traced(strip(x)))

    def device_of(self, x: Array) -> Any:
        """Device of `x`."""
        return self.base.device_of(strip(x))

    def stop_gradient(self, x: Any) -> Any:
        """Return `x` without its levels."""
        return stop_gradient(x)

    def plain(self, x: Array) -> Array:
        """Return the plain array under `x`."""
        return strip(x)

    # -- derivatives -----------------------------------------------------------------------

    def linear_map(
        self,
        apply: Callable[..., Array],
        transpose: Callable[..., Array],
        x: Array,
        *constants: Array,
    ) -> Array:
        """Apply a linear function whose transpose is written by hand; both see plain arrays."""

        def pull(xp: Any, g: Array, x: Array, *constants: Array) -> Array:
            return self.linear_map(transpose, apply, g, *constants)

        rule = Linear(pull, lambda xp: function)
        function: Callable[..., Array] = rule.bind(
            self.namespace, lambda x, *constants: apply(self.base, x, *constants)
        )
        return function(x, *[strip(value) for value in constants])

    def zero_with_derivative(self, solve: Callable[[Array], Array], x: Array) -> Array:
        """Return zeros like the vector `x`, whose derivative is the symmetric linear map `solve`.

        The map sees plain vectors.
        """
        rule = Linear(lambda xp, g, x: image(g), lambda xp: image)
        image: Callable[[Array], Array] = rule.bind(self.namespace, solve)
        zeros: Callable[[Array], Array] = rule.bind(self.namespace, self.namespace.plain.zeros_like)
        return zeros(x)

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Return a function giving the value of `f` and its gradient."""
        return value_and_grad(f, argnums, has_aux)

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value of `f` and its pullback."""
        return vjp(f, *primals)

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `f` and its derivative along `tangents`."""
        return jvp(f, primals, tangents)

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value of `f` and its derivative as a function."""
        return linearize(f, *primals)

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Any:
        """Map `f` by a loop, and stack."""
        return vmap(f, in_axes, out_axes)

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return `f`: the tape runs eagerly."""
        return f

    def checkpoint(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return `f` as one node that runs again in the backward pass."""
        return checkpoint(f)

    # -- what the standard lacks -----------------------------------------------------------

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of each row that share an id."""
        return self._sums(values, strip(ids), num_segments)

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis."""
        return self.namespace.add(x, self.segment_sum(updates, indices, x.shape[-1]))

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        _, places = self.base.top_k(strip(x), k)
        values = self.namespace.take_along_axis(x, places, axis=-1)
        return values, self.namespace.constant_of(places)

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
        for i in range(int(lower), int(upper)):
            carry = body(i, carry)
        return carry

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f` over the leading axis of `xs`, and stack what it returns."""
        leaves, structure = self.tree_flatten(xs)
        steps = leaves[0].shape[0] if leaves else int(length or 0)
        carry, rows = init, []
        for i in range(steps):
            row = [self.namespace.getitem(leaf, (i, Ellipsis)) for leaf in leaves]
            carry, y = f(carry, self.tree_unflatten(structure, row))
            rows.append(self.tree_flatten(y))
        if not rows:
            return carry, None
        columns = zip(*(row[0] for row in rows), strict=True)
        stacked = [self.namespace.stack(column) for column in columns]
        return carry, self.tree_unflatten(rows[0][1], stacked)

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        return true_fn(*operands) if bool(pred) else false_fn(*operands)

    # -- randomness, special functions, kernels ----------------------------------------------

    def sampler(self, rng: Any) -> Any:
        """Draws of the base library: constants."""
        return self.base.sampler(rng)

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function with its derivative, None where there is none."""
        return self._special.find(name)  # type: ignore[no-any-return]

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Structure kernel on plain values."""
        kernel = self.base.kernel(name, dtype, device)
        if kernel is None:
            return None
        return self._on_plain(kernel)

    def reference(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """Reference kernel on plain values, with the adapter of their library."""
        return self._on_plain(lambda *args: kernel(self.base, *args))

    def _on_plain(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        constant_of = self.namespace.constant_of
        return lambda *args: constant_of(kernel(*[strip(x) for x in args]))

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """Fused value and reverse rule, for one reverse level over a plain value."""
        if type(x) is not Traced or type(x._value) is Traced or not hasattr(x._level, "nodes"):
            return None
        if self.base.fused(name, x._value) is None:
            return None
        rule = self.base.fused_rule(name)
        return None if rule is None else fused_node(rule)

    def eager_rule(self, rule: Any, formula: Callable[..., Any], *inputs: Array) -> Any:
        """Record one node for a rule, for one reverse level over plain values."""
        return eager_node(rule, formula, inputs)

    def fused_rule(self, name: str) -> Any:
        """Return None: a rule is for plain values."""
        return None

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code on host copies of plain values; the result is a constant."""
        return self.base.host_call(f, result_like, *[strip(x) for x in arrays])

    def from_host(self, x: Any) -> Array:
        """Return a NumPy array as a plain array of the library."""
        return self.base.from_host(x)

    def to_host(self, x: Array) -> Any:
        """Return the plain values of `x` as a NumPy array: a constant."""
        return self.base.to_host(strip(x))

    # -- containers --------------------------------------------------------------------------

    def tree_flatten(self, tree: Any) -> tuple[list[Any], Any]:
        """Leaves of a container, and its structure."""
        return self.base.tree_flatten(tree)  # type: ignore[no-any-return]

    def tree_unflatten(self, structure: Any, leaves: Any) -> Any:
        """Inverse of `tree_flatten`."""
        return self.base.tree_unflatten(structure, leaves)


_BACKENDS: dict[int, TapeBackend] = {}


def tape_backend(x: Array) -> TapeBackend:
    """Return the adapter for traced arrays over a plain array `x`."""
    base = backend_of(x)
    found = _BACKENDS.get(id(base))
    if found is None or found.base is not base:
        found = _BACKENDS[id(base)] = TapeBackend(base)
    return found
