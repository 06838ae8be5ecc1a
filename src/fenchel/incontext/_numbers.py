"""Real and complex arrays of this room: what dtype they are computed in, and their adjoints."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..arrays import dtype_name, float_info
from ..backend import Backend, backend_of

__all__ = [
    "Numbers",
    "adjoint",
    "as_dtype",
    "check_length",
    "check_numbers",
    "conj",
    "identity",
    "is_complex",
    "magnitude",
    "real_dtype",
    "reduce_last",
    "split_time",
]

Array = Any

_COMPLEX = ("complex64", "complex128")


class Numbers(NamedTuple):
    """The library of an array, and the dtype that is computed in.

    Attributes
    ----------
    backend
        Adapter of the library.
    dtype
        Dtype of the results.
    inner
        Dtype of the computation: float32 for the half types.
    """

    backend: Backend
    dtype: Any
    inner: Any

    def widen(self, x: Array) -> Array:
        """Return `x` in the dtype of the computation."""
        return as_dtype(self.backend.namespace, x, self.inner)

    def narrow(self, x: Array) -> Array:
        """Return `x` in the dtype of the results."""
        return as_dtype(self.backend.namespace, x, self.dtype)


def as_dtype(xp: Any, x: Array, dtype: Any) -> Array:
    """Cast where that changes anything: a cast is a node of the tape otherwise."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def check_numbers(name: str, x: Array, *others: Array) -> Numbers:
    """Return library and dtypes of floating arrays, real or complex, of one library.

    Raises
    ------
    TypeError
        If `x` is neither real nor complex floating, or the arrays belong to several libraries.
    """
    backend = backend_of(x, *others)
    info = float_info(x.dtype)
    if info is None and dtype_name(x) not in _COMPLEX:
        raise TypeError(
            f"`{name}` must have a floating dtype, real or complex; got {dtype_name(x)}"
        )
    half = info is not None and info.half
    return Numbers(backend, x.dtype, backend.namespace.float32 if half else x.dtype)


def is_complex(x: Array) -> bool:
    """Whether the dtype is complex."""
    return dtype_name(x) in _COMPLEX


def real_dtype(xp: Any, dtype: Any) -> Any:
    """Return the real dtype of the same precision."""
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    return {"complex64": xp.float32, "complex128": xp.float64}.get(name, dtype)


def conj(xp: Any, x: Array) -> Array:
    """Complex conjugate; real arrays as they are."""
    return xp.conj(x) if is_complex(x) else x


def adjoint(xp: Any, x: Array) -> Array:
    """Conjugate transpose of the last two axes."""
    return conj(xp, xp.matrix_transpose(x))


def identity(xp: Any, size: int, dtype: Any, device: Any) -> Array:
    """Return the identity matrix.

    Not `eye`: the one of PyTorch is filled in place, which `torch.func.linearize` loses.
    """
    place = xp.arange(size, device=device)
    return xp.astype(xp.astype(place[:, None] == place, real_dtype(xp, dtype)), dtype)


def magnitude(xp: Any, x: Array) -> Array:
    """Squared modulus, smooth at 0."""
    return xp.real(x) ** 2 + xp.imag(x) ** 2 if is_complex(x) else x * x


def reduce_last(xp: Any, x: Array) -> Array:
    """Sum of the squared moduli along the last axis."""
    return xp.sum(magnitude(xp, x), axis=-1)


def check_length(name: str, s: Array, least: int) -> None:
    """Raise ValueError unless `s` is (..., T, d) with at least `least` tokens and coordinates."""
    if s.ndim < 2 or s.shape[-1] == 0:
        raise ValueError(f"`{name}` must have shape (..., T, d) with d > 0; got {tuple(s.shape)}")
    if s.shape[-2] < least:
        raise ValueError(
            f"`{name}` must have at least {least} tokens; got T={s.shape[-2]} in shape "
            f"{tuple(s.shape)}"
        )


def split_time(xp: Any, x: Array, axis: int) -> Array:
    """Return `x` with `axis` (negative) moved to the front, as a scan wants it."""
    place = x.ndim + axis
    rest = [i for i in range(x.ndim) if i != place]
    return xp.permute_dims(x, (place, *rest))
