"""Eigenvalues, singular values, QR and the pseudo-inverse: forward derivatives.

The pullbacks are their transposes, see `rules.Spectral`. Equal eigenvalues or singular values get
no rotation between their vectors: functions of the values alone are right there all the same.
Sources: Giles (2008); Walter & Lehmann (2018) for QR; Golub & Pereyra (1973) for the
pseudo-inverse.
"""

from __future__ import annotations

from typing import Any

from .rules import Composite, Rule, Spectral
from .traced import Array

__all__ = ["RULES"]


def _eye_like(xp: Any, values: Array) -> Array:
    return xp.eye(values.shape[-1], dtype=values.dtype, device=xp.device(values))


def _adjoint(xp: Any, x: Array) -> Array:
    return xp.conj(xp.matrix_transpose(x)) if _is_complex(xp, x) else xp.matrix_transpose(x)


def _is_complex(xp: Any, x: Array) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))


def _inverse_differences(xp: Any, values: Array) -> Array:
    """1 / (v_j - v_i), zero where the two agree."""
    gaps = xp.subtract(xp.expand_dims(values, axis=-2), xp.expand_dims(values, axis=-1))
    return _safe_inverse(xp, gaps)


def _safe_inverse(xp: Any, x: Array) -> Array:
    """1 / x, zero where x is."""
    zero = xp.equal(x, 0)
    safe = xp.where(zero, xp.ones_like(x), x)
    return xp.where(zero, xp.zeros_like(x), xp.reciprocal(safe))


def _like(xp: Any, factor: Array, x: Array) -> Array:
    return factor if factor.dtype == x.dtype else xp.astype(factor, x.dtype)


def _real_diagonal(xp: Any, x: Array) -> Array:
    d = xp.linalg.diagonal(x)
    return xp.real(d) if _is_complex(xp, x) else d


def _hermitian(xp: Any, t: Array) -> Array:
    return xp.multiply(xp.add(t, _adjoint(xp, t)), 0.5)


def _eigh_push(xp: Any, t: Array, outs: Any, x: Array) -> tuple[Array, Array]:
    values, vectors = outs
    inner = xp.matmul(_adjoint(xp, vectors), xp.matmul(_hermitian(xp, t), vectors))
    turn = xp.multiply(_like(xp, _inverse_differences(xp, values), inner), inner)
    return _real_diagonal(xp, inner), xp.matmul(vectors, turn)


def _svd_push(
    xp: Any, t: Array, outs: Any, x: Array, *, full_matrices: bool = True
) -> tuple[Array, Array, Array]:
    u, s, vh = outs
    m, n = x.shape[-2:]
    if full_matrices and m != n:
        raise ValueError(
            "`full_matrices` must be False to differentiate the SVD of a matrix that is not "
            f"square; got shape {x.shape}"
        )
    v = _adjoint(xp, vh)
    inner = xp.matmul(_adjoint(xp, u), xp.matmul(t, v))
    row, column = xp.expand_dims(s, axis=-2), xp.expand_dims(s, axis=-1)
    # 1 / (s_j^2 - s_i^2) as a product keeps the digits of close singular values.
    total = xp.add(row, column)
    gap = xp.multiply(_inverse_differences(xp, s), _safe_inverse(xp, total))
    gap = _like(xp, gap, inner)
    right = xp.multiply(inner, _like(xp, row, inner))
    left = xp.multiply(_like(xp, column, inner), inner)
    du = xp.matmul(u, xp.multiply(gap, xp.add(right, _adjoint(xp, right))))
    dv = xp.matmul(v, xp.multiply(gap, xp.add(left, _adjoint(xp, left))))
    inverse = _like(xp, xp.expand_dims(_safe_inverse(xp, s), axis=-2), inner)
    if m > n:
        du = xp.add(du, xp.multiply(_outside(xp, u, xp.matmul(t, v)), inverse))
    if n > m:
        dv = xp.add(dv, xp.multiply(_outside(xp, v, xp.matmul(_adjoint(xp, t), u)), inverse))
    if _is_complex(xp, x):
        du = xp.add(du, _phase(xp, u, inner, s))
    return du, _real_diagonal(xp, inner), _adjoint(xp, dv)


def _outside(xp: Any, basis: Array, x: Array) -> Array:
    """Part of the columns of `x` that is orthogonal to the columns of `basis`."""
    return xp.subtract(x, xp.matmul(basis, xp.matmul(_adjoint(xp, basis), x)))


def _phase(xp: Any, u: Array, inner: Array, s: Array) -> Array:
    """Turn of the phases of the left vectors, where the matrix is complex."""
    diagonal = xp.linalg.diagonal(inner)
    imaginary = xp.multiply(xp.subtract(diagonal, xp.conj(diagonal)), 0.5)
    return xp.multiply(u, xp.expand_dims(xp.divide(imaginary, _like(xp, s, inner)), axis=-2))


def _qr_push(
    xp: Any, t: Array, outs: Any, x: Array, *, mode: str = "reduced"
) -> tuple[Array, Array]:
    q, r = outs
    if x.shape[-2] < x.shape[-1] or (mode == "complete" and x.shape[-2] != x.shape[-1]):
        raise ValueError(
            "`x` must have at least as many rows as columns (and mode 'reduced') for the "
            f"derivative of qr; got shape {x.shape} and mode {mode!r}"
        )
    # t r^{-1}, by a solve with r transposed.
    scaled = xp.matrix_transpose(xp.linalg.solve(xp.matrix_transpose(r), xp.matrix_transpose(t)))
    inner = xp.matmul(_adjoint(xp, q), scaled)
    lower = xp.tril(inner, k=-1)
    turn = xp.subtract(lower, _adjoint(xp, lower))
    if _is_complex(xp, x):
        diagonal = xp.multiply(inner, _eye_like(xp, inner))
        turn = xp.add(turn, xp.multiply(xp.subtract(diagonal, _adjoint(xp, diagonal)), 0.5))
    dq = xp.add(xp.matmul(q, xp.subtract(turn, inner)), scaled)
    return dq, xp.matmul(xp.subtract(inner, turn), r)


def _pinv_push(xp: Any, t: Array, out: Array, x: Array, **options: Any) -> Array:
    # Constant rank is assumed: elsewhere the pseudo-inverse is not continuous.
    adjoint = _adjoint(xp, t)
    cross = xp.matmul(out, xp.matmul(t, out))
    left = xp.matmul(out, xp.matmul(_adjoint(xp, out), adjoint))
    right = xp.matmul(adjoint, xp.matmul(_adjoint(xp, out), out))
    left = xp.subtract(left, xp.matmul(xp.matmul(left, x), out))
    right = xp.subtract(right, xp.matmul(out, xp.matmul(x, right)))
    return xp.add(xp.subtract(left, cross), right)


def _eigvalsh(xp: Any, x: Array, /) -> Array:
    return xp.linalg.eigh(x)[0]


def _svdvals(xp: Any, x: Array, /) -> Array:
    return xp.linalg.svd(x, full_matrices=False)[1]


RULES: dict[str, Rule] = {
    "linalg.eigh": Spectral(_eigh_push),
    "linalg.eigvalsh": Composite(_eigvalsh),
    "linalg.svd": Spectral(_svd_push),
    "linalg.svdvals": Composite(_svdvals),
    "linalg.qr": Spectral(_qr_push),
    "linalg.pinv": Spectral(_pinv_push, single=True),
}
