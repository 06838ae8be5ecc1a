"""Binder of the row kernels for NumPy: flatten the batch, pack the parameters, allocate, call.

Numba is imported by the first call of a kernel, never before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .table import FUSED, KERNELS, LOSSES, MATRICES, Output

__all__ = [
    "FusedRule",
    "flatten",
    "fused_rule",
    "numba_found",
    "numpy_fused",
    "numpy_kernel",
    "pack",
    "raw_kernel",
    "row_call",
]

Array = NDArray[Any]

# Where each raw kernel lives, below `kernels.cpu`.
_MODULES = {
    "mask_threshold": "mask",
    "topk_mask": "mask",
    "magnitude_threshold": "magnitude",
    "topk_magnitude": "magnitude",
    "entmax_threshold": "entmax",
    "entmax": "entmax",
    "normmax_threshold": "normmax",
    "topk_pav_threshold": "topk_pav",
    "isotonic_blocks": "isotonic",
    "isotonic": "isotonic",
    "weighted_isotonic_blocks": "weighted",
    "kl_isotonic_blocks": "entropic",
    "pnorm_isotonic_blocks": "pnorm",
    "dykstra": "dykstra",
    "section_start": "section",
    "sinkhorn_columns": "sinkhorn",
    "sorted_by_expert": "routing",
    "balanced_owners": "routing",
    "soft_rank": "ranking",
    "soft_sort": "ranking",
    "loss_rows": "loss_pullback",
    **{name: name.rpartition("_")[0] for name in LOSSES},
}


@cache
def numba_found() -> bool:
    """Whether numba is installed.

    Examples
    --------
    >>> isinstance(numba_found(), bool)
    True
    """
    return find_spec("numba") is not None


@cache
def raw_kernel(name: str) -> Callable[..., None]:
    """Return a compiled row kernel: a name of the table, or `fused_NAME`, `fused_NAME_vjp`.

    Parameters
    ----------
    name : str
        Name of the kernel.

    Returns
    -------
    callable
        Takes C-contiguous rows; see the table.

    Raises
    ------
    KeyError
        If there is no such kernel.

    Examples
    --------
    >>> raw_kernel("isotonic_blocks").__name__
    'isotonic_blocks'
    """
    topic = name.removeprefix("fused_").removesuffix("_vjp")
    module = import_module(f".cpu.{_MODULES[topic]}", __package__)
    kernel: Callable[..., None] = getattr(module, name)
    return kernel


class _Exposed:
    """Memory of a read-only array under a writeable face (see `_behaved`)."""

    def __init__(self, x: Array) -> None:
        interface = x.__array_interface__
        self.owner = x
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _behaved(x: Array) -> Array:
    """C-contiguous, native, and writeable in name.

    The kernels are compiled for writeable arrays, so that there is one version a dtype. They write
    no input, so a read-only array is shown to them through a writeable view, not copied.
    """
    if not x.flags.c_contiguous or not x.dtype.isnative:
        return np.array(x, dtype=x.dtype.newbyteorder("="), order="C")
    if x.flags.writeable or x.size == 0:
        return np.require(x, requirements=["C", "A", "W"])
    return np.asarray(_Exposed(x))


def flatten(x: Array) -> Array:
    """View (or copy) an array of shape (..., n) as C-contiguous rows (R, n).

    Parameters
    ----------
    x : ndarray (..., n)
        Any strides, read-only or not.

    Returns
    -------
    ndarray (R, n)
        Not to be written.

    Examples
    --------
    >>> flatten(np.zeros((2, 3, 4))).shape
    (6, 4)
    """
    if not (x.flags.carray and x.dtype.isnative):
        x = _behaved(x)
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


@lru_cache(maxsize=512)
def _shared(params: tuple[float, ...], dtype: str) -> Array:
    return np.array([params], dtype)


def pack(params: Sequence[Any], batch: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Pack parameters as the columns of a (1, c) or (R, c) array.

    Parameters
    ----------
    params : sequence of float or ndarray
        Numbers, or arrays that broadcast to `batch + (1,)`.
    batch : tuple of int
        Leading shape of the inputs.
    dtype : dtype
        Of the inputs.

    Returns
    -------
    ndarray (1, c) or (R, c)
        Not to be written.

    Examples
    --------
    >>> pack((2, np.zeros((3, 1))), (3,), np.dtype("float64")).shape
    (3, 2)
    """
    try:
        return _shared(params if type(params) is tuple else tuple(params), dtype.char)
    except TypeError:  # arrays have no hash: they are no numbers
        pass
    packed = np.empty((*batch, len(params)), dtype.char)
    for column, value in enumerate(params):
        packed[..., column : column + 1] = value
    return packed.reshape(-1, len(params))


def row_call(
    kernel: Callable[..., None],
    inputs: Sequence[Array],
    params: Array,
    outputs: Sequence[Output],
) -> list[Array]:
    """Run a raw kernel on arrays of shape (..., n).

    Parameters
    ----------
    kernel : callable
        Raw row kernel.
    inputs : sequence of ndarray (..., n)
        The first one gives the floating dtype.
    params : ndarray (1, c) or (R, c)
        As `pack` makes them.
    outputs : sequence of Output
        What to allocate.

    Returns
    -------
    list of ndarray
        Entries outputs (..., n), rows outputs (..., 1).

    Examples
    --------
    >>> spec = KERNELS["isotonic_blocks"]
    >>> kernel = raw_kernel("isotonic_blocks")
    >>> y = np.array([2.0, 1.0, 3.0])
    >>> row_call(kernel, (y,), pack((1,), (), y.dtype), spec.outputs)[0]
    array([0, 0, 2], dtype=int32)
    """
    batch = inputs[0].shape[:-1]
    flat = [flatten(x) for x in inputs]
    if outputs[0].extent == "last":
        results = [np.empty_like(flat[-1]) for _ in outputs]
    else:
        results = _buffers([_kind(output) for output in outputs], flat[0].shape, flat[0].dtype)
    kernel(*flat, params, *results)
    return [y.reshape((*batch, y.shape[1] if y.ndim == 2 else 1)) for y in results]


def _kind(output: Output) -> tuple[bool, bool]:
    """Return whether an output has entries, not rows, and whether it is of integers."""
    return output.extent == "entries", output.dtype == "int32"


def _buffers(
    kinds: Sequence[tuple[bool, bool]], size: tuple[int, ...], dtype: np.dtype[Any]
) -> list[Array]:
    """Allocate what a raw kernel writes for rows of shape `size`: (R, n) or (R,) each."""
    return [
        np.empty(size if entries else size[0], np.int32 if integers else dtype)
        for entries, integers in kinds
    ]


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
    kinds = [_kind(output) for output in spec.outputs]

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
        results = _buffers(kinds, flat.shape, dtype)
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
