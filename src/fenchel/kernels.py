"""Which route an operator takes: a fast kernel, a fused rule, or the array-API reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .contract import Array, Backend

__all__ = [
    "eager_rule",
    "kernels_enabled",
    "linear_map",
    "reference_kernel",
    "solver_kernel",
    "structure_kernel",
    "use_kernels",
    "with_derivatives_of",
]

_KERNELS: ContextVar[bool] = ContextVar("fenchel_kernels", default=True)


@contextmanager
def use_kernels(enabled: bool) -> Iterator[None]:
    """Turn the fast kernels on or off within a block; off is the reference route.

    Parameters
    ----------
    enabled
        Whether numba, XLA and CUDA kernels may be used.

    Examples
    --------
    >>> import numpy as np
    >>> import fenchel
    >>> x = np.asarray([0.1, 0.8, 0.5])
    >>> with fenchel.use_kernels(False):
    ...     y = fenchel.sparsemax(x)
    >>> bool(np.all(np.abs(y - fenchel.sparsemax(x)) < 1e-12))
    True
    """
    token = _KERNELS.set(bool(enabled))
    try:
        yield
    finally:
        _KERNELS.reset(token)


def kernels_enabled() -> bool:
    """Whether fast kernels may be used here (see `use_kernels`)."""
    return _KERNELS.get()


def structure_kernel(
    backend: Backend, name: str, reference: Callable[..., Any], x: Array
) -> Callable[..., Any]:
    """Return the fast kernel `name` for arrays like `x`, else its array-API reference.

    `reference` takes the backend first and then what the kernel takes.
    """
    fast = backend.kernel(name, x.dtype, backend.device_of(x))
    if fast is not None:
        return fast
    return reference_kernel(backend, reference)


def reference_kernel(backend: Backend, reference: Callable[..., Any]) -> Callable[..., Any]:
    """Return an array-API kernel bound to its backend: the one of the plain arrays if traced."""
    on_plain = getattr(backend, "reference", None)
    if on_plain is not None:
        return on_plain(reference)  # type: ignore[no-any-return]
    return lambda *arguments: reference(backend, *arguments)


def eager_rule(
    backend: Backend, rule: Any, formula: Callable[..., Array], *inputs: Array
) -> Array | None:
    """Return the value of `rule` at the inputs, with its pullback as the reverse derivative.

    ``rule.forward(*inputs) -> (value, saved)`` and ``rule.pullback(cotangent, inputs, saved)``,
    which returns a tuple, see plain arrays. None where more than an eager first derivative in
    reverse mode may be asked for at once; derivatives beyond it are those of ``formula(*inputs)``.
    """
    serve = getattr(backend, "eager_rule", None)
    return None if serve is None else serve(rule, formula, *inputs)


def linear_map(
    backend: Backend,
    apply: Callable[..., Array],
    transpose: Callable[..., Array],
    x: Array,
    *constants: Array,
) -> Array:
    """Return `apply(backend, x, *constants)`, which is linear in `x`, with its transpose by hand.

    `transpose(backend, g, *constants)` takes the place of what would be derived from `apply`, where
    the adapter can do so, to every order and in turn. Both are functions of a module; the constants
    are arrays of integers, and batch axes lead in everything.
    """
    serve = getattr(backend, "linear_map", None)
    if serve is None:
        return apply(backend, x, *constants)
    return serve(apply, transpose, x, *constants)


def solver_kernel(backend: Backend, solver: Callable[..., Any]) -> Callable[..., Any]:
    """Return an iterative solver bound to its backend, like `reference_kernel`.

    `solver` is a public function of its module, of the backend, arrays and then numbers, and
    returns a tuple of arrays; batch axes lead in all of them. Where tracers could not follow a loop
    whose length depends on values, the adapter makes it one operation.
    """
    opaque = getattr(backend, "solver", None)
    if opaque is not None:
        return opaque(solver)  # type: ignore[no-any-return]
    return reference_kernel(backend, solver)


def with_derivatives_of(
    backend: Backend, value: Array, formula: Callable[..., Array], *inputs: Array
) -> Array:
    """Return `value`, a constant, with the derivatives of `formula(*inputs)`, which equals it.

    The formula is a function of all arrays that it uses. Where the adapter can tell that nothing is
    differentiated, inside a compiled program too, it costs nothing.
    """
    serve = getattr(backend, "with_derivatives_of", None)
    return formula(*inputs) if serve is None else serve(value, formula, *inputs)
