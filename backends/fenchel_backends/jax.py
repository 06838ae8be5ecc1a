"""Adapter for JAX: its own transformations, control flow and special functions.

On the CPU, structure kernels are numba functions called by XLA itself (see `kernels/xla.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special as jax_special

from fenchel.kernels import kernels_enabled
from fenchel.trees import follow_dataclasses

from . import jax_linear
from .kernels import compiled, xla
from .kernels.jax_philox import jax_philox_words

__all__ = ["BACKEND", "JaxBackend"]

Array = Any


class JaxBackend:
    """JAX, eager or traced."""

    name = "jax"
    namespace = jnp
    native_autodiff = True
    linear_maps_opaque = True  # derivatives never look into a linear map

    def is_traced(self, x: Array) -> bool:
        """Whether `x` is a tracer."""
        return isinstance(x, jax.core.Tracer)

    def device_of(self, x: Array) -> None:
        """Return None: inside a trace the device is not known, XLA decides it."""
        return None

    def stop_gradient(self, x: Array) -> Array:
        """Return `x` as a constant of every transformation."""
        return jax.lax.stop_gradient(x)

    # -- derivatives -------------------------------------------------------------------------

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Return a function giving the value of `f` and its gradient."""
        return jax.value_and_grad(f, argnums=argnums, has_aux=has_aux)

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value of `f` and its pullback."""
        out, pullback = jax.vjp(f, *primals)
        return out, pullback

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `f` and its derivative along `tangents`."""
        return jax.jvp(f, tuple(primals), tuple(tangents))

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value of `f` and its derivative as a function."""
        return jax.linearize(f, *primals)

    def zero_with_derivative(self, solve: Callable[..., Any], x: Array) -> Array:
        """Return zeros like the vector `x`, whose derivative is the symmetric linear map `solve`.

        The map may hold loops that reverse mode cannot go through.
        """

        @jax.custom_jvp
        def zero(x: Array) -> Array:
            return jnp.zeros_like(x)

        @zero.defjvp
        def derivative(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
            # Only the shape of the first function is looked at, as the second solves.
            image = jax.lax.custom_linear_solve(
                lambda v: v, tangents[0], lambda _, v: solve(v), symmetric=True
            )
            return jnp.zeros_like(primals[0]), image

        return zero(x)

    def with_derivatives_of(
        self, value: Array, formula: Callable[..., Array], *inputs: Array
    ) -> Array:
        """Return `value`, with the derivatives of `formula(*inputs)`."""

        @jax.custom_jvp
        def held(value: Array, *inputs: Array) -> Array:
            return value

        @held.defjvp
        def derivative(primals: Any, tangents: Any) -> tuple[Array, Array]:
            return held(*primals), jax.jvp(formula, primals[1:], tangents[1:])[1]

        return held(value, *inputs)

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Any:
        """Map `f` over an axis."""
        return jax.vmap(f, in_axes, out_axes)

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `f`."""
        return jax.jit(f)

    def checkpoint(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Recompute `f` in the backward pass."""
        return jax.checkpoint(f)

    # -- what the standard lacks -----------------------------------------------------------------

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of each row that share an id: one scatter over all rows."""
        shape = (*values.shape[:-1], num_segments)
        return self.scatter_add(jnp.zeros(shape, values.dtype), ids, values)

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis."""
        return _scatter_add(x, indices, updates)

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        values, indices = jax.lax.top_k(x, k)
        return values, indices

    # -- control flow --------------------------------------------------------------------------

    def while_loop(self, cond: Any, body: Any, init: Any) -> Any:
        """Apply `body` while `cond` holds."""
        return jax.lax.while_loop(cond, body, init)

    def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
        """Apply `body(i, carry)` for i from `lower` to `upper - 1`."""
        return jax.lax.fori_loop(lower, upper, body, init)

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f` over the leading axis of `xs`, and stack what it returns."""
        carry, ys = jax.lax.scan(f, init, xs, length)
        return carry, ys

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        return jax.lax.cond(pred, true_fn, false_fn, *operands)

    # -- randomness, special functions, kernels --------------------------------------------------

    def sampler(self, rng: Any) -> JaxSampler:
        """Draws from an integer seed or a key."""
        return JaxSampler(rng)

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function of `jax.scipy.special`."""
        return getattr(jax_special, name, None)

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Numba kernel called by XLA, where numba is installed and the default device is a CPU."""
        use = kernels_enabled() and jax.default_backend() == "cpu"
        return xla.xla_kernel(name) if use else None

    def reference(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """Reference kernel compiled once a shape: eagerly its loops compile at every call."""
        return _jitted_reference(kernel)

    def run_formula(
        self,
        formula: Callable[..., Any],
        static: tuple[str, ...],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """Run a formula as one program where values are known: eagerly, and under eager grad.

        Inside jit it is part of the program already; a function among the options is no constant.
        """
        if not _known(arguments[0]) or any(map(callable, options.values())):
            return formula(self, *arguments, **options)
        return _program(formula, static, kernels_enabled())(*arguments, **options)

    def linear_map(self, apply: Any, transpose: Any, x: Array, *constants: Array) -> Array:
        """Apply a linear function whose transpose is written by hand."""
        return jax_linear.linear_map(self, apply, transpose, x, *constants)

    def philox_words(self, counter: list[Array], key: list[Array]) -> list[Array]:
        """Words of Philox4x32-10, its rounds a loop."""
        return jax_philox_words(counter, key)

    def fused(self, name: str, x: Array) -> None:
        """Return None: XLA fuses the formula."""
        return None

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code on host copies of `arrays`, inside jit too."""
        shapes = jax.tree_util.tree_map(
            lambda leaf: jax.eval_shape(lambda: jnp.empty(leaf.shape, leaf.dtype)), result_like
        )
        return jax.pure_callback(
            lambda *host: f(*(np.asarray(x) for x in host)),
            shapes,
            *arrays,
            vmap_method="sequential",
        )

    def from_host(self, x: Array) -> Array:
        """Return a NumPy array as an array of JAX."""
        return jnp.asarray(x)

    def to_host(self, x: Array) -> Any:
        """Return a NumPy view of `x`, read-only."""
        return np.asarray(x)

    # -- containers ------------------------------------------------------------------------------

    def tree_flatten(self, tree: Any) -> tuple[list[Any], Any]:
        """Leaves of a pytree, and its structure."""
        return jax.tree_util.tree_flatten(tree)

    def tree_unflatten(self, structure: Any, leaves: Any) -> Any:
        """Inverse of `tree_flatten`."""
        return jax.tree_util.tree_unflatten(structure, leaves)

    def transformations(self) -> dict[str, Any]:
        """Rows of the matrix of `fenchel.testing`."""
        from .transformations import jax as matrix

        return matrix.rows()

    def describe(self) -> dict[str, Any]:
        """Version, devices and kernels."""
        on_cpu = jax.default_backend() == "cpu" and compiled.numba_found()
        return {
            "version": jax.__version__,
            "devices": [str(device) for device in jax.devices()],
            "kernels": "numba, called by XLA" if on_cpu else "reference",
        }


@jax.jit  # operation by operation, an eager scatter takes two milliseconds
def _scatter_add(x: Array, indices: Array, updates: Array) -> Array:
    count = int(np.prod(indices.shape[:-1]))
    row = jnp.arange(count)[:, None]
    flat = x.reshape(count, x.shape[-1])
    places = indices.reshape(count, indices.shape[-1])
    return flat.at[row, places].add(updates.reshape(places.shape)).reshape(x.shape)


def _known(x: Array) -> bool:
    """Whether the value of `x` is at hand, below any derivatives taken of it."""
    if not isinstance(x, jax.core.Tracer):
        return True
    return x.to_concrete_value() is not None  # type: ignore[no-untyped-call]


@cache
def _program(
    formula: Callable[..., Any], static: tuple[str, ...], kernels: bool
) -> Callable[..., Any]:
    """Compile a formula, with or without kernels: which ones is decided when it is traced."""
    return jax.jit(partial(formula, BACKEND), static_argnames=static)


# What a reference kernel decides in Python; its other arguments may change from call to call.
_STATIC = ("p", "q", "increasing", "magnitude", "max_iter")


@cache
def _jitted_reference(kernel: Callable[..., Any]) -> Callable[..., Any]:
    names = list(signature(kernel).parameters)[1:]
    places = tuple(i for i, name in enumerate(names) if name in _STATIC)
    plain = partial(kernel, BACKEND)
    jitted = jax.jit(plain, static_argnums=places)

    def run(*arguments: Any) -> Any:
        numbers = all(isinstance(arguments[i], int | float) for i in places)
        fixed = numbers and not any(map(callable, arguments))  # a function is no argument of jit
        return (jitted if fixed else plain)(*arguments)

    return run


class JaxSampler:
    """Draws from a JAX key; an integer seed is made one. Every draw takes a fresh part of it.

    Parameters
    ----------
    rng
        An integer seed or a JAX key.

    Raises
    ------
    TypeError
        If `rng` is neither.
    """

    def __init__(self, rng: Any) -> None:
        if isinstance(rng, int) and not isinstance(rng, bool):
            rng = jax.random.key(rng)
        if not isinstance(rng, jax.Array):
            raise TypeError(
                f"`rng` must be an integer seed or a JAX key; got {type(rng).__qualname__}"
            )
        self._key = rng

    def _next(self) -> Any:
        self._key, key = jax.random.split(self._key)
        return key

    def normal(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Standard normal draws."""
        return jax.random.normal(self._next(), shape, dtype)

    def uniform(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Uniform draws in [0, 1)."""
        return jax.random.uniform(self._next(), shape, dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers in [low, high)."""
        return jax.random.randint(self._next(), shape, low, high)


# The dataclasses of `fenchel` are containers for JAX too.
follow_dataclasses(jax.tree_util.register_pytree_node)
BACKEND = JaxBackend()
