"""Arrays as the rows of raw kernels: batches flattened, parameters packed, room for results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import Output

__all__ = ["behaved", "flatten", "output_buffers", "output_kind", "pack", "row_call"]

Array = NDArray[Any]


class _Exposed:
    """Memory of a read-only array under a writeable face (see `behaved`)."""

    def __init__(self, x: Array) -> None:
        interface = x.__array_interface__
        self.owner = x
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def behaved(x: Array) -> Array:
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
        x = behaved(x)
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
    >>> from fenchel_backends.kernels.compiled import raw_kernel
    >>> from fenchel_backends.kernels.table import KERNELS
    >>> spec, kernel = KERNELS["isotonic_blocks"], raw_kernel("isotonic_blocks")
    >>> y = np.array([2.0, 1.0, 3.0])
    >>> row_call(kernel, (y,), pack((1,), (), y.dtype), spec.outputs)[0]
    array([0, 0, 2], dtype=int32)
    """
    batch = inputs[0].shape[:-1]
    flat = [flatten(x) for x in inputs]
    if outputs[0].extent == "last":
        results = [np.empty_like(flat[-1]) for _ in outputs]
    else:
        kinds = [output_kind(output) for output in outputs]
        results = output_buffers(kinds, flat[0].shape, flat[0].dtype)
    kernel(*flat, params, *results)
    return [y.reshape((*batch, y.shape[1] if y.ndim == 2 else 1)) for y in results]


def output_kind(output: Output) -> tuple[bool, bool]:
    """Return whether an output has entries, not rows, and whether it is of integers."""
    return output.extent == "entries", output.dtype == "int32"


def output_buffers(
    kinds: Sequence[tuple[bool, bool]], size: tuple[int, ...], dtype: np.dtype[Any]
) -> list[Array]:
    """Allocate what a raw kernel writes for rows of shape `size`: (R, n) or (R,) each."""
    return [
        np.empty(size if entries else size[0], np.int32 if integers else dtype)
        for entries, integers in kinds
    ]
