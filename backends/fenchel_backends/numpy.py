"""Adapter for NumPy: the generic one, with numba kernels and SciPy's special functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from fenchel.kernels import kernels_enabled

from .generic import GenericBackend
from .kernels import class_losses, numpy_kernels, streams, token_rows

__all__ = ["BACKEND", "NumPyBackend"]

# Names that differ from ours in scipy.special; the rest are the same there.
_SCIPY = {"log_expit": "log_expit", "gammaln": "gammaln", "digamma": "psi"}


class NumPyBackend(GenericBackend):
    """NumPy with numba kernels where numba is installed."""

    def device_of(self, x: Any) -> str:
        """Return "cpu"."""
        return "cpu"

    def to_host(self, x: Any) -> Any:
        """Return `x`."""
        return x

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function of SciPy, where SciPy is installed."""
        return _scipy_special(name)

    def segment_sum(self, values: Any, ids: Any, num_segments: int) -> Any:
        """Sum the entries of each row that share an id, in one pass."""
        batch, n = values.shape[:-1], values.shape[-1]
        count = math.prod(batch)
        offsets = np.arange(count, dtype=np.intp)[:, None] * num_segments
        flat = (ids.reshape(count, n) + offsets).ravel()
        if 4 * n < num_segments:  # most segments are empty: they need not be looked at
            total = np.zeros(count * num_segments, values.dtype)
            np.add.at(total, flat, values.ravel())
        else:
            total = np.bincount(flat, values.ravel(), count * num_segments)
        return total.astype(values.dtype, copy=False).reshape(*batch, num_segments)

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Numba kernel, where numba is installed."""
        return numpy_kernels.numpy_kernel(name) if kernels_enabled() else None

    def token_rows(self, x: Any) -> Any:
        """Passes over rows of tokens (see `kernels.token_rows`), where numba is installed."""
        name = str(getattr(x, "dtype", ""))
        return token_rows.NUMPY if kernels_enabled() and token_rows.served(name) else None

    def fused(self, name: str, x: Any) -> Callable[..., Any] | None:
        """Numba kernel that gives the value in one pass, where numba is installed."""
        return numpy_kernels.numpy_fused(name) if kernels_enabled() else None

    def class_loss(self, *arguments: Any) -> tuple[Any, Any] | None:
        """Loss of class indices and its gradient (see `kernels.class_losses`)."""
        return class_losses.class_loss(*arguments) if kernels_enabled() else None

    def class_loss_value(self, *arguments: Any) -> Any:
        """Loss of class indices; the last argument serves libraries that record derivatives."""
        pair = self.class_loss(*arguments[:-1])
        return None if pair is None else pair[0]

    def stream_normals(self, stream: Any, shape: tuple[int, ...], like: Any) -> Any:
        """Normal numbers of a `RandomStream` in one pass (see `kernels.streams`)."""
        return streams.stream_normals(stream, shape, like.dtype) if kernels_enabled() else None

    def mixture_step(self, *arguments: Any) -> Any:
        """Langevin step of a Gaussian mixture in one pass (see `kernels.streams`)."""
        return streams.mixture_step(*arguments) if kernels_enabled() else None

    def network_step(self, *arguments: Any) -> Any:
        """Langevin step of a small network in one pass (see `kernels.streams`)."""
        return streams.network_step(*arguments) if kernels_enabled() else None

    def fused_rule(self, name: str) -> Any:
        """Fused value and reverse rule for the tape, where numba is installed."""
        return numpy_kernels.fused_rule(name)

    def describe(self) -> dict[str, Any]:
        """Version, devices and kernels."""
        found = find_spec("numba") is not None
        return {
            "version": np.__version__,
            "devices": ["cpu"],
            "kernels": "numba" if found else "reference",
        }


@cache
def _scipy_special(name: str) -> Callable[..., Any] | None:
    if find_spec("scipy") is None:
        return None
    return getattr(import_module("scipy.special"), _SCIPY.get(name, name), None)


BACKEND = NumPyBackend(name="numpy", namespace=compat)
