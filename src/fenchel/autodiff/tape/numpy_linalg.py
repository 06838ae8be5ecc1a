"""The functions of `numpy.linalg` and `numpy.fft`, over the tape's namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .traced import Array, strip

__all__ = ["FUNCTIONS"]


def _norm(xp: Any, x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    if axis is None and (ord is None or len(x.shape) == 1):
        order = 2 if ord is None else ord
        if keepdims or len(x.shape) == 1:
            axes = tuple(range(len(x.shape)))
            return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=order)
        return xp.linalg.vector_norm(xp.reshape(x, (-1,)), ord=order)
    axes = (-2, -1) if axis is None else axis
    if isinstance(axes, int) or len(axes) == 1:
        return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    moved = xp.moveaxis(x, tuple(axes), (-2, -1))
    out = xp.linalg.matrix_norm(moved, ord="fro" if ord is None else ord)
    if not keepdims:
        return out
    places = {a % len(x.shape) for a in axes}
    return xp.reshape(out, tuple(1 if i in places else n for i, n in enumerate(x.shape)))


def _eigh(xp: Any, a: Array, UPLO: str = "L") -> Any:
    return xp.linalg.eigh(_from_triangle(xp, a, UPLO))


def _eigvalsh(xp: Any, a: Array, UPLO: str = "L") -> Array:
    return xp.linalg.eigvalsh(_from_triangle(xp, a, UPLO))


def _from_triangle(xp: Any, a: Array, triangle: str) -> Array:
    return a if triangle.upper() == "L" else xp.matrix_transpose(a)


def _svd(
    xp: Any, a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    if not compute_uv:
        return xp.linalg.svdvals(a)
    return xp.linalg.svd(a, full_matrices=full_matrices)


def _qr(xp: Any, a: Array, mode: str = "reduced") -> Any:
    return xp.linalg.qr(a, mode=mode)


def _pinv(
    xp: Any, a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None
) -> Array:
    return xp.linalg.pinv(a, rtol=rcond if rtol is None else rtol)


def _multi_dot(xp: Any, arrays: Any, *, out: Any = None) -> Array:
    first, *rest = arrays
    for x in rest:
        first = xp.matmul(first, x)
    return first


def _lstsq(xp: Any, a: Array, b: Array, rcond: Any = None) -> Any:
    """Least squares by the pseudo-inverse; rank and singular values as NumPy gives them."""
    solution = xp.matmul(xp.linalg.pinv(a), b)
    _, residuals, rank, values = xp.base.linalg.lstsq(strip(a), strip(b), rcond=rcond)
    if residuals.shape != (0,):
        rest = xp.subtract(b, xp.matmul(a, solution))
        residuals = xp.sum(xp.square(rest), axis=0, keepdims=len(b.shape) == 1)
    return solution, residuals, rank, xp.linalg.svdvals(a) if len(values) else values


def _same(name: str) -> Callable[..., Any]:
    def function(xp: Any, *args: Any, **options: Any) -> Any:
        return getattr(xp.linalg, name)(*args, **options)

    return function


def _transform(name: str) -> Callable[..., Array]:
    def function(
        xp: Any, a: Array, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None
    ) -> Array:
        return getattr(xp.fft, name)(a, n=n, axis=axis, norm=norm or "backward")

    return function


def _transform_many(name: str, default_axes: Any) -> Callable[..., Array]:
    def function(
        xp: Any,
        a: Array,
        s: Any = None,
        axes: Any = default_axes,
        norm: Any = None,
        out: Any = None,
    ) -> Array:
        return getattr(xp.fft, name)(a, s=s, axes=axes, norm=norm or "backward")

    return function


def _shift(name: str) -> Callable[..., Array]:
    def function(xp: Any, x: Array, axes: Any = None) -> Array:
        return getattr(xp.fft, name)(x, axes=axes)

    return function


_SAME = (
    *("inv", "solve", "det", "slogdet", "matrix_power", "cholesky", "svdvals"),
    *("vector_norm", "matrix_norm", "outer", "diagonal", "trace", "cross", "vecdot"),
    *("matmul", "tensordot", "matrix_transpose"),
)
_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_MANY = ("fftn", "ifftn", "rfftn", "irfftn")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"linalg.{name}": _same(name) for name in _SAME},
    "linalg.norm": _norm,
    "linalg.eigh": _eigh,
    "linalg.eigvalsh": _eigvalsh,
    "linalg.svd": _svd,
    "linalg.qr": _qr,
    "linalg.pinv": _pinv,
    "linalg.multi_dot": _multi_dot,
    "linalg.lstsq": _lstsq,
    **{f"fft.{name}": _transform(name) for name in _ONE},
    **{f"fft.{name}": _transform_many(name, None) for name in _MANY},
    **{f"fft.{name[:-1]}2": _transform_many(name, (-2, -1)) for name in _MANY},
    "fft.fftshift": _shift("fftshift"),
    "fft.ifftshift": _shift("ifftshift"),
}
