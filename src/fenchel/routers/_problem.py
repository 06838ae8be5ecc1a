"""Logits as every router sees them: checked, wide, masked."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import FloatInfo, check_dtype, dtype_name, narrow, widen
from ..backend import Array, Backend, backend_of
from ..operators.softmax import softmax_formula
from ..parameters import broadcasts, check_array, known_to

__all__ = ["Problem", "check_logits", "constant", "noise_like", "open_problem", "token_mask"]


class Problem(NamedTuple):
    """A routing problem: logits in float32 or float64, -inf in rows that take no part.

    Indices are found on constants: plain arrays of the library, below any trace.
    """

    backend: Backend
    logits: Array
    plain: Backend  # the adapter of constants
    valid: Array  # (..., n, m) boolean, a constant: neither -inf, NaN nor masked
    routed: Array  # (..., n) boolean, a constant: tokens with a valid logit
    float_type: FloatInfo
    dtype: Any

    @property
    def n_tokens(self) -> int:
        """Number of tokens of a group."""
        return int(self.logits.shape[-2])

    @property
    def n_experts(self) -> int:
        """Number of experts."""
        return int(self.logits.shape[-1])

    def constant(self, x: Array) -> Array:
        """Return `x` without its derivatives, as an array of `plain`."""
        return constant(self.backend, x)

    def close(self, weight: Array) -> Array:
        """Return weights in the dtype of the caller's logits."""
        return narrow(self.backend.namespace, weight, self.float_type, self.dtype)

    def softmax(self) -> Array:
        """Softmax over the experts; 0 for tokens that take no part."""
        if 0 in self.logits.shape:
            return self.logits
        return softmax_formula(self.backend, self.logits, 1.0)


def open_problem(logits: Array, where: Array | None, *others: Any) -> Problem:
    """Check the logits and the mask; `others` are further arrays, or None."""
    given = [value for value in (where, *others) if hasattr(value, "dtype")]
    backend = backend_of(logits, *given)
    info = check_logits(logits)
    xp, plain = backend.namespace, getattr(backend, "base", None) or backend
    wide = widen(xp, known_to(backend, logits), info)
    values, low = constant(backend, wide), float("-inf")
    valid = values > low  # neither -inf nor NaN
    routed = plain.namespace.any(valid, axis=-1)
    if where is not None:
        routed = routed & token_mask(plain, constant(backend, where), tuple(logits.shape[:-1]))
        valid = valid & routed[..., None]
    wide = xp.where(known_to(backend, valid), wide, xp.full_like(wide, low))
    return Problem(backend, wide, plain, valid, routed, info, logits.dtype)


def check_logits(logits: Array) -> FloatInfo:
    """Return what is known of the dtype of an array of the shape (..., n, m)."""
    info = check_dtype("logits", logits)
    if logits.ndim < 2 or logits.shape[-1] == 0:
        raise ValueError(
            "`logits` must have the shape (..., n, m) with at least one expert; "
            f"got {tuple(logits.shape)}"
        )
    return info


def constant(backend: Backend, x: Array) -> Array:
    """Return `x` without its derivatives: a plain array where the tape traces."""
    if getattr(backend, "base", None) is None:
        return backend.stop_gradient(x)
    return backend.plain(x)  # type: ignore[attr-defined]


def token_mask(backend: Backend, where: Array, shape: tuple[int, ...]) -> Array:
    """Return the mask of tokens broadcast to `shape`."""
    check_array("where", where, backend)
    xp = backend.namespace
    if not xp.isdtype(where.dtype, "bool"):
        raise TypeError(f"`where` must be boolean; got {dtype_name(where)}")
    return _broadcast("where", xp, where, shape)


def noise_like(backend: Backend, noise: Array, logits: Array) -> Array:
    """Return noise broadcast to the logits, in its own floating dtype."""
    check_array("noise", noise, backend)
    check_dtype("noise", noise)
    return _broadcast("noise", backend.namespace, known_to(backend, noise), tuple(logits.shape))


def _broadcast(name: str, xp: Any, x: Array, shape: tuple[int, ...]) -> Array:
    given = tuple(x.shape)
    if not broadcasts(given, shape):
        raise ValueError(f"`{name}` must broadcast to the shape {shape}; got shape {given}")
    return xp.broadcast_to(x, shape)
