"""The adapter contract: what `fenchel` needs of an array library beyond the standard."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

__all__ = ["Array", "Backend", "compiled"]

Array = Any
"""An array of any library. (A precise protocol would reject the tracers of JAX and torch.)"""


@runtime_checkable
class Backend(Protocol):
    """What an array library must be able to do for `fenchel`: the adapter contract.

    Event axes are last, any number of batch axes lead. Functions that take functions accept
    containers of arrays. `fenchel_backends` holds the built-in adapters; a third-party library
    with `__array_namespace__` gets a generic one, with derivatives by the tape.
    """

    name: str
    namespace: Any
    native_autodiff: bool

    def is_traced(self, x: Array) -> bool:
        """Whether the values of `x` are unavailable (inside jit or compile)."""
        ...

    def device_of(self, x: Array) -> Any:
        """Device of `x`, None where it is not known yet."""
        ...

    def stop_gradient(self, x: Array) -> Array:
        """Return `x` as a constant of every differentiation level."""
        ...

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Return a function giving the value of the scalar `f` and its gradient."""
        ...

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return `f(*primals)` and the pullback, which returns a tuple."""
        ...

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return `f(*primals)` and its derivative along `tangents`."""
        ...

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return `f(*primals)` and its derivative as a function of the tangents."""
        ...

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Any:
        """Map `f` over an axis of its arguments."""
        ...

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `f`; the identity where the library has no compiler."""
        ...

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of the last axis that share an id, row by row."""
        ...

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis, row by row."""
        ...

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        ...

    def while_loop(self, cond: Any, body: Any, init: Any) -> Any:
        """Apply `body` to the carry while `cond` holds."""
        ...

    def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
        """Apply `body(i, carry)` for i = lower, ..., upper - 1."""
        ...

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f(carry, x) -> (carry, y)` over the leading axis of `xs`; stack the ys."""
        ...

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        ...

    def sampler(self, rng: Any) -> Any:
        """Random draws from a seed or from the library's own generator or key."""
        ...

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function `name` of the library, None where it has none."""
        ...

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Fast structure kernel; None if there is none, or `kernels_enabled` says no."""
        ...

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """Fused rule for arrays like `x`; None if there is none, or kernels are off."""
        ...

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code `f` on host copies of `arrays`."""
        ...

    def from_host(self, x: Any) -> Array:
        """Return a NumPy array as an array of the library, on its default device."""
        ...

    def to_host(self, x: Array) -> Any:
        """Return `x` as a NumPy array."""
        ...

    def checkpoint(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Recompute `f` in the backward pass rather than store its intermediates."""
        ...

    def tree_flatten(self, tree: Any) -> tuple[list[Any], Any]:
        """Leaves of a container, and its structure."""
        ...

    def tree_unflatten(self, structure: Any, leaves: Any) -> Any:
        """Inverse of `tree_flatten`."""
        ...


_Formula = TypeVar("_Formula", bound=Callable[..., Any])


def compiled(*static: str) -> Callable[[_Formula], _Formula]:
    """Decorate a formula of a backend, an array and more: compiled where that pays eagerly.

    Where every operation of an eager call is dispatched by a compiler, the adapter runs the formula
    as one program. The arguments named in `static` are decided in Python: a program each value.
    Other numbers may change from call to call.
    """

    def decorate(formula: _Formula) -> _Formula:
        @wraps(formula)
        def run(backend: Backend, *arguments: Any, **options: Any) -> Any:
            run_formula = getattr(backend, "run_formula", None)
            if run_formula is None:
                return formula(backend, *arguments, **options)
            return run_formula(formula, static, arguments, options)

        return cast(_Formula, run)

    return decorate
