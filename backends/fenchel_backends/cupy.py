"""Adapter for CuPy: the generic one, with CUDA kernels and the special functions of CuPyX.

Derivatives come from the tape, as for NumPy. Everything runs on the device of its arguments and
CuPy's current stream; only `host_call`, `to_host` and Python conditions wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import array_api_compat.cupy as compat
import cupy
import numpy as np

from fenchel.kernels import kernels_enabled

from .generic import GenericBackend
from .kernels.cuda import loader, steps

__all__ = ["BACKEND", "CuPyBackend", "CuPySampler"]

Array = Any

# Names that differ from ours in cupyx.scipy.special; the rest are the same there.
_CUPYX = {"digamma": "psi"}
_KERNEL_DTYPES = ("float32", "float64")


class CuPyBackend(GenericBackend):
    """CuPy with CUDA kernels compiled at run time.

    Examples
    --------
    >>> BACKEND.name
    'cupy'
    """

    def device_of(self, x: Array) -> Any:
        """Device of `x`."""
        return x.device

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function of CuPyX, None where it has none."""
        return _special(name)

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of each row that share an id, by atomic additions.

        The order of additions, hence the last bits, may differ from run to run.
        """
        with values.device:
            zeros = cupy.zeros((*values.shape[:-1], num_segments), values.dtype)
            return self.scatter_add(zeros, ids, values)

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis."""
        with x.device:
            total = cupy.array(x, order="C", copy=True)
            if updates.size == 0:
                return total
            n = x.shape[-1]
            rows = total.size // n
            flat = indices.reshape(rows, -1) + cupy.arange(rows, dtype=np.int64)[:, None] * n
            cupy.add.at(total.reshape(-1), flat.reshape(-1), updates.reshape(-1))
            return total

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        # argpartition leaves the order of ties open; the sort of CuPy is stable.
        order = cupy.argsort(-x, axis=-1, kind="stable")[..., :k]
        return cupy.take_along_axis(x, order, axis=-1), order

    def sampler(self, rng: Any) -> CuPySampler:
        """Draws from an integer seed or a generator, made on the device."""
        return CuPySampler(rng)

    def from_host(self, x: Any) -> Array:
        """Return a NumPy array as an array on the current device."""
        return cupy.asarray(x)

    def to_host(self, x: Array) -> Any:
        """Return a NumPy copy of `x`; waits for the device."""
        return cupy.asnumpy(x)

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code on host copies of `arrays`; the result goes to the device of the first."""
        if not arrays:
            return super().host_call(f, result_like)
        with arrays[0].device:
            return super().host_call(f, result_like, *arrays)

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """CUDA kernel, for float32 and float64."""
        if dtype is not None and np.dtype(dtype).name not in _KERNEL_DTYPES:
            return None
        return loader.cupy_kernel(name)

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """CUDA kernel that gives the value in one pass."""
        return loader.cupy_fused(name) if x.dtype.name in _KERNEL_DTYPES else None

    def mixture_step(self, *arguments: Any) -> Array | None:
        """Langevin step of a Gaussian mixture in one launch."""
        return steps.cupy_mixture_step(*arguments) if kernels_enabled() else None

    def fused_rule(self, name: str) -> Any:
        """Fused value and reverse rule for the tape."""
        return loader.fused_rule(name)

    def describe(self) -> dict[str, Any]:
        """Version, devices and kernels; no device where the driver is missing."""
        devices = [f"cuda:{i}" for i in range(_device_count())]
        return {
            "version": cupy.__version__,
            "devices": devices,
            "kernels": "cuda" if devices else "none",
        }


class CuPySampler:
    """Draws from a generator of CuPy; an integer seed makes one on the current device.

    Parameters
    ----------
    rng
        An integer seed, or a `cupy.random.Generator` or `RandomState`, which advances.

    Raises
    ------
    TypeError
        If `rng` is none of these.
    """

    def __init__(self, rng: Any) -> None:
        if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
            rng = cupy.random.default_rng(int(rng))
        if not isinstance(rng, cupy.random.Generator | cupy.random.RandomState):
            raise TypeError(
                "`rng` must be an integer seed, a cupy.random.Generator or a "
                f"cupy.random.RandomState; got {type(rng).__qualname__}"
            )
        self._generator = rng

    def normal(self, shape: tuple[int, ...], dtype: Any = "float64") -> Array:
        """Standard normal draws."""
        return self._generator.standard_normal(shape).astype(dtype, copy=False)

    def uniform(self, shape: tuple[int, ...], dtype: Any = "float64") -> Array:
        """Uniform draws in [0, 1)."""
        draw = getattr(self._generator, "random", None) or self._generator.random_sample
        draws = draw(shape).astype(dtype, copy=False)
        # Rounding a double just below 1 to a narrower dtype gives 1, which is outside.
        return cupy.minimum(draws, np.nextafter(np.asarray(1, dtype), np.asarray(0, dtype)))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers in [low, high), int64."""
        draw = getattr(self._generator, "integers", None) or self._generator.randint
        return draw(low, high, shape).astype(np.int64, copy=False)


@cache
def _special(name: str) -> Callable[..., Any] | None:
    return getattr(import_module("cupyx.scipy.special"), _CUPYX.get(name, name), None)


def _device_count() -> int:
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or one too old
        return 0


BACKEND = CuPyBackend(name="cupy", namespace=compat)
