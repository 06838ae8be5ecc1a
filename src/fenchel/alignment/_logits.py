"""Logits over a vocabulary: normalised logarithms, and constants to index them with."""

from __future__ import annotations

from typing import Any

from ..arrays import check_dtype, widen
from ..backend import backend_of
from ..parameters import known_to
from ..special import logsumexp

__all__ = ["Prepared", "chosen", "constant_like", "index_dtype", "log_softmax"]

Array = Any


def log_softmax(x: Array) -> Array:
    """Return logits (..., V) less their log-sum-exp; a row of only -inf stays -inf."""
    return x - logsumexp(x, keepdims=True)


class Prepared:
    """Logits (..., V) in the dtype that is computed in, with what their use needs."""

    def __init__(self, name: str, x: Array, *others: Array) -> None:
        self.backend = backend_of(x, *others)
        self.info = check_dtype(name, x)
        self.xp = self.backend.namespace
        if x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(
                f"`{name}` must have at least one token along its last axis; "
                f"got shape {tuple(x.shape)}"
            )
        self.dtype = x.dtype
        self.x = widen(self.xp, known_to(self.backend, x), self.info)


def index_dtype(backend: Any, x: Array) -> Any:
    """Return the integer dtype that the library indexes with."""
    return backend.namespace.arange(1, device=backend.device_of(x)).dtype


def constant_like(x: Array, host: Any) -> Array:
    """Return a NumPy array as a constant of the library and device of `x`."""
    backend = backend_of(x)
    plain = getattr(backend, "base", None) or backend
    device = plain.device_of(backend.stop_gradient(x))
    xp = plain.namespace
    moved = plain.from_host(host) if device is None else xp.asarray(host, device=device)
    return known_to(backend, moved)


def chosen(backend: Any, x: Array, labels: Array) -> Array:
    """Return the entry of each row of `x` (..., V) that `labels` (...) names."""
    xp = backend.namespace
    index = xp.astype(labels, index_dtype(backend, x))
    return xp.squeeze(xp.take_along_axis(x, index[..., None], axis=-1), axis=-1)
