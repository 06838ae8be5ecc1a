"""The kernels of the table on plain NumPy arrays: structure kernels, and fused rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiled import numba_found, raw_kernel
from .rows import flatten, output_buffers, output_kind, pack, row_call
from .table import FUSED, KERNELS, LOSSES, MATRICES

__all__ = ["FusedRule", "fused_rule", "numpy_fused", "numpy_kernel"]

Array = NDArray[Any]


@cache
def numpy_kernel(name: str) -> Callable[..., Any] | None:
    """Return the structure kernel `name` for NumPy arrays; None without numba.

    Parameters
    ----------
    name : str
        Name in the table of kernels.

    Returns
    -------
    callable or None
        `kernel(*inputs, *params)`; one array, or a tuple of the outputs.

    Examples
    --------
    >>> blocks = numpy_kernel("isotonic_blocks")
    >>> blocks(np.array([1.0, 3.0, 2.0, 4.0]), 1)
    array([0, 1, 1, 3], dtype=int32)
    """
    spec = KERNELS.get(name) or LOSSES.get(name) or MATRICES.get(name)
    if spec is None or not numba_found():
        return None
    count, outputs = len(spec.inputs), spec.outputs

    def kernel(*arguments: Any) -> Any:
        x = arguments[0]
        params = pack(arguments[count:], x.shape[:-1], x.dtype)
        results = row_call(raw_kernel(name), arguments[:count], params, outputs)
        return results[0] if len(results) == 1 else tuple(results)

    return kernel


class FusedRule(NamedTuple):
    """Value and pullback of a fused rule on plain NumPy arrays.

    Parameters
    ----------
    forward : callable
        `forward(x, params, *constants) -> (y, *saved)`.
    pullback : callable
        `pullback(g, x, params, constants, outputs) -> gx` with `outputs` what `forward` gave.
    value : callable
        `value(x, params, *constants) -> y`, where nothing will be pulled back.

    Examples
    --------
    >>> rule = fused_rule("isotonic")
    >>> y = np.array([1.0, 3.0, 2.0])
    >>> outputs = rule.forward(y, (1,))
    >>> outputs[0]
    array([1. , 2.5, 2.5])
    >>> rule.pullback(np.array([0.0, 1.0, 0.0]), y, (1,), (), outputs)
    array([0. , 0.5, 0.5])
    """

    forward: Callable[..., tuple[Array, ...]]
    pullback: Callable[..., Array]
    value: Callable[..., Array]


@cache
def fused_rule(name: str) -> FusedRule | None:
    """Return the fused rule `name` on plain NumPy arrays; None without numba.

    Parameters
    ----------
    name : str
        Name in the table of fused rules.

    Returns
    -------
    FusedRule or None
        Forward and pullback.

    Examples
    --------
    >>> fused_rule("nothing") is None
    True
    """
    spec = FUSED.get(name) or LOSSES.get(name)
    if spec is None or not numba_found():
        return None
    symbol = name if name in LOSSES else f"fused_{name}"
    kinds = [output_kind(output) for output in spec.outputs]

    def value(x: Array, params: Sequence[Any], *constants: Array) -> Array:
        return run(x, params, constants)[0].reshape(x.shape if kinds[0][0] else (*x.shape[:-1], 1))

    def forward(x: Array, params: Sequence[Any], *constants: Array) -> tuple[Array, ...]:
        shape = x.shape
        rows = (*shape[:-1], 1)
        results = run(x, params, constants)
        return tuple([y.reshape(shape if y.ndim == 2 else rows) for y in results])

    def run(x: Array, params: Sequence[Any], constants: Sequence[Array]) -> list[Array]:
        flat = flatten(x)
        dtype = flat.dtype
        results = output_buffers(kinds, flat.shape, dtype)
        packed = pack(params, x.shape[:-1], dtype)
        raw_kernel(symbol)(flat, *map(flatten, constants), packed, *results)
        return results

    def pullback(
        g: Array,
        x: Array,
        params: Sequence[Any],
        constants: Sequence[Array],
        saved: Sequence[Array],
    ) -> Array:
        shape = x.shape
        flat = flatten(x)
        packed = pack(params, shape[:-1], flat.dtype)
        held = [
            flatten(y) if entries else y.reshape(-1)
            for y, (entries, _) in zip(saved, kinds, strict=True)
        ]
        gx = np.empty(flat.shape, flat.dtype)
        cotangent = flatten(g if g.shape == shape else np.broadcast_to(g, shape))
        raw_kernel(f"{symbol}_vjp")(cotangent, flat, *map(flatten, constants), packed, *held, gx)
        return gx.reshape(shape)

    return FusedRule(forward, _loss_pullback if name in LOSSES else pullback, value)


def _loss_pullback(
    g: Array, x: Array, params: Sequence[Any], constants: Sequence[Array], saved: Sequence[Array]
) -> Array:
    """Multiply the gradient of each row by the cotangent of its loss."""
    gradient = saved[1]
    gx, n = np.empty(gradient.shape, gradient.dtype), x.shape[-1]
    if gx.size:
        flat = np.ascontiguousarray(g, gx.dtype).reshape(-1)
        raw_kernel("loss_rows_vjp")(flat, gradient.reshape(-1, n), gx.reshape(-1, n))
    return gx


@cache
def numpy_fused(name: str) -> Callable[..., Array] | None:
    """Return the forward of a fused rule for plain NumPy arrays; None without numba.

    Parameters
    ----------
    name : str
        Name in the table of fused rules.

    Returns
    -------
    callable or None
        `apply(formula, x, params, *constants) -> y`; the formula is for libraries that record
        derivatives and is not called here.

    Examples
    --------
    >>> fit = numpy_fused("isotonic")
    >>> fit(None, np.array([1.0, 3.0, 2.0]), (1,))
    array([1. , 2.5, 2.5])
    """
    rule = fused_rule(name)
    if rule is None:
        return None
    value = rule.value
    return lambda formula, x, params, *constants: value(x, params, *constants)
