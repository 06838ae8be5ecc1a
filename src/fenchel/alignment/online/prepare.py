"""What is carried over from the host to the library, and back."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ...arrays import check_dtype, widen
from ...backend import Backend
from ...random import integers
from ...trees import backend_of_tree, is_array, leaves
from .._logits import constant_like
from .draw import Drawn
from .labels import Decision
from .state import Batch

__all__ = ["batch_of", "divergences", "log_ratios", "seed_from"]

Tree = Any
Array = Any


def seed_from(rng: Any, params: Tree) -> int:
    """Return a seed: an integer itself, or one drawn from a generator or key."""
    if isinstance(rng, bool):
        raise TypeError("`rng` must be an integer seed, a generator or a key; got bool")
    if isinstance(rng, Integral):
        return int(rng)
    like = next(leaf for leaf in leaves(params) if is_array(leaf))
    backend = backend_of_tree(params)
    return int(backend.to_host(integers(rng, 0, 2**31 - 1, (1,), like=like))[0])


def batch_of(
    backend: Backend, prompts: Any, drawn: Drawn, decision: Decision, lengths: Any
) -> Batch:
    """Carry the labels over to the library; half types become float32."""
    ref_first, ref_second = (_wide(backend, ref) for ref in drawn.ref)

    def like(x: Any) -> Array:
        carried = constant_like(ref_first, np.asarray(x, dtype=np.float64))
        return backend.namespace.astype(carried, ref_first.dtype)

    target, weight = like(decision.target), like(decision.weight)
    return Batch(
        prompts, drawn.first, drawn.second, target, weight, ref_first, ref_second,
        like(lengths[0]), like(lengths[1]),
    )  # fmt: skip


def log_ratios(backend: Backend, drawn: Drawn) -> tuple[Any, Any]:
    """Return log-ratios of both responses under policy and reference, NumPy arrays."""
    first, second = (
        np.asarray(backend.to_host(_wide(backend, logp)), dtype=np.float64)
        - backend.to_host(_wide(backend, ref))
        for logp, ref in zip(drawn.logp, drawn.ref, strict=True)
    )
    return first, second


def divergences(backend: Backend, drawn: Drawn) -> tuple[Any, ...]:
    """Return the divergences that come with both responses, NumPy arrays; none where none came."""
    return tuple(np.asarray(backend.to_host(_wide(backend, kl))) for kl in drawn.kl)


def _wide(backend: Backend, x: Array) -> Array:
    return widen(backend.namespace, x, check_dtype("logprob", x))
