"""Products, solves and determinants. Sources: Giles (2008), collected matrix derivative results."""

from __future__ import annotations

from typing import Any

from .axes import normalize
from .fitting import fit, like_tuple
from .rules import Bilinear, Composite, General, Rule
from .traced import Array, Traced, strip

__all__ = ["RULES", "symmetric_part"]


# -- products ------------------------------------------------------------------------------------


def _matmul_x(xp: Any, g: Array, out: Array, x: Array, y: Array) -> Array:
    if len(y.shape) == 1:
        c = xp.multiply(g[..., None], y)  # g (..., n) and y (k): (..., n, k)
    elif len(x.shape) == 1:
        c = _vector_times(xp, g, y.mT)
    else:
        c = xp.matmul(g, y.mT)
    return fit(xp, c, x)


def _matmul_y(xp: Any, g: Array, out: Array, x: Array, y: Array) -> Array:
    if len(x.shape) == 1 and len(y.shape) == 1:
        c = xp.multiply(g, x)
    elif len(x.shape) == 1:
        c = xp.multiply(x[:, None], g[..., None, :])
    elif len(y.shape) == 1:
        c = _vector_times(xp, g, x)
    else:
        c = xp.matmul(x.mT, g)
    return fit(xp, c, y)


def _vector_times(xp: Any, g: Array, y: Array) -> Array:
    """g @ y, row by row over the batch axes."""
    if len(y.shape) == 2:
        return xp.matmul(g, y)
    return xp.squeeze(xp.matmul(g[..., None, :], y), axis=-2)


def _contracted(axes: Any, nx: int, ny: int) -> tuple[list[int], list[int]]:
    if isinstance(axes, int):
        return list(range(nx - axes, nx)), list(range(axes))
    first, second = axes
    first = [first] if isinstance(first, int) else first
    second = [second] if isinstance(second, int) else second
    return [normalize(a, nx) for a in first], [normalize(a, ny) for a in second]


def _tensordot_x(xp: Any, g: Array, out: Array, x: Array, y: Array, *, axes: Any = 2) -> Array:
    ax, ay = _contracted(axes, len(x.shape), len(y.shape))
    free_x = [i for i in range(len(x.shape)) if i not in ax]
    free_y = [i for i in range(len(y.shape)) if i not in ay]
    # Axes of the product: free ones of x, then the contracted ones in the order they have in y.
    trailing = list(range(len(free_x), len(g.shape)))
    c = xp.tensordot(g, y, axes=(trailing, free_y))
    order = free_x + [ax[ay.index(a)] for a in sorted(ay)]
    return fit(xp, xp.permute_dims(c, tuple(order.index(i) for i in range(len(order)))), x)


def _tensordot_y(xp: Any, g: Array, out: Array, x: Array, y: Array, *, axes: Any = 2) -> Array:
    ax, ay = _contracted(axes, len(x.shape), len(y.shape))
    free_x = [i for i in range(len(x.shape)) if i not in ax]
    free_y = [i for i in range(len(y.shape)) if i not in ay]
    c = xp.tensordot(x, g, axes=(free_x, list(range(len(free_x)))))
    order = [ay[ax.index(a)] for a in sorted(ax)] + free_y
    return fit(xp, xp.permute_dims(c, tuple(order.index(i) for i in range(len(order)))), y)


def _vecdot(xp: Any, x: Array, y: Array, /, *, axis: int = -1) -> Array:
    first = xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x
    return xp.sum(xp.multiply(first, y), axis=axis)


def _outer(xp: Any, x: Array, y: Array, /) -> Array:
    return xp.multiply(xp.expand_dims(x, axis=1), xp.expand_dims(y, axis=0))


def _cross(xp: Any, x: Array, y: Array, /, *, axis: int = -1) -> Array:
    x, y = xp.broadcast_arrays(x, y)
    place = (slice(None),) * normalize(axis, len(x.shape))
    (a, b, c), (d, e, f) = ([z[(*place, i, Ellipsis)] for i in range(3)] for z in (x, y))
    parts = [
        xp.subtract(xp.multiply(b, f), xp.multiply(c, e)),
        xp.subtract(xp.multiply(c, d), xp.multiply(a, f)),
        xp.subtract(xp.multiply(a, e), xp.multiply(b, d)),
    ]
    return xp.stack(parts, axis=axis)


def _diagonal(xp: Any, x: Array, /, *, offset: int = 0) -> Array:
    rows, columns = x.shape[-2:]
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    start = offset if offset >= 0 else -offset * columns
    places = xp.base.arange(n, device=xp.device(x)) * (columns + 1) + start
    flat = xp.reshape(x, (*x.shape[:-2], rows * columns))
    return xp.take(flat, places, axis=-1)


def _trace(xp: Any, x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    total = xp.sum(xp.linalg.diagonal(x, offset=offset), axis=-1)
    return total if dtype is None else xp.astype(total, dtype)


def _matrix_power(xp: Any, x: Array, n: int, /) -> Array:
    if n < 0:
        x, n = xp.linalg.inv(x), -n
    out = None
    while n:  # repeated squaring
        if n % 2:
            out = x if out is None else xp.matmul(out, x)
        n //= 2
        x = xp.matmul(x, x) if n else x
    if out is not None:
        return out
    eye = xp.eye(x.shape[-1], dtype=x.dtype, device=xp.device(x))
    return xp.broadcast_to(eye, x.shape)


# -- solves, inverses, determinants --------------------------------------------------------------


def symmetric_part(xp: Any, x: Array) -> Array:
    """Return (x + x^H) / 2 of the last two axes."""
    return xp.multiply(xp.add(x, xp.conj(xp.matrix_transpose(x))), 0.5)


def _inv_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    flipped = xp.matrix_transpose(out)
    return xp.negative(xp.matmul(flipped, xp.matmul(g, flipped)))


def _inv_push(xp: Any, t: Array, out: Array, x: Array) -> Array:
    return xp.negative(xp.matmul(out, xp.matmul(t, out)))


def _solve(xp: Any, a: Array, b: Array, vector: bool) -> Array:
    """Solve for matrices, or for a batch of vectors, which the standard has no call for."""
    if vector:
        return xp.squeeze(xp.linalg.solve(a, xp.expand_dims(b, axis=-1)), axis=-1)
    return xp.linalg.solve(a, b)


def _solve_b(xp: Any, g: Array, out: Array, a: Array, b: Array) -> Array:
    return fit(xp, _solve(xp, xp.matrix_transpose(a), g, len(b.shape) == 1), b)


def _solve_a(xp: Any, g: Array, out: Array, a: Array, b: Array) -> Array:
    vector = len(b.shape) == 1
    c = _solve(xp, xp.matrix_transpose(a), g, vector)
    if vector:
        c, out = xp.expand_dims(c, axis=-1), xp.expand_dims(out, axis=-1)
    return fit(xp, xp.negative(xp.matmul(c, xp.matrix_transpose(out))), a)


def _solve_push_a(xp: Any, t: Array, out: Array, a: Array, b: Array) -> Array:
    vector = len(b.shape) == 1
    if vector:
        moved = xp.squeeze(xp.matmul(t, xp.expand_dims(out, axis=-1)), axis=-1)
    else:
        moved = xp.matmul(t, out)
    return xp.negative(_solve(xp, a, moved, vector))


def _det_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    scale = xp.reshape(xp.multiply(g, out), (*out.shape, 1, 1))
    return xp.multiply(scale, xp.matrix_transpose(xp.linalg.inv(x)))


def _det_push(xp: Any, t: Array, out: Array, x: Array) -> Array:
    return xp.multiply(out, xp.linalg.trace(xp.linalg.solve(x, t)))


def _logdet_pull(xp: Any, g: Array, out: Array, x: Array) -> Array:
    inverse = xp.matrix_transpose(xp.linalg.inv(x))
    return xp.multiply(xp.reshape(g, (*out.shape, 1, 1)), inverse)


def _logdet_push(xp: Any, t: Array, out: Array, x: Array) -> Array:
    return xp.linalg.trace(xp.linalg.solve(x, t))


def _half_lower(xp: Any, x: Array) -> Array:
    """Lower triangle with the diagonal halved."""
    return xp.multiply(xp.add(xp.tril(x), xp.tril(x, k=-1)), 0.5)


def _cholesky_push(xp: Any, t: Array, out: Array, x: Array, *, upper: bool = False) -> Array:
    lower = xp.matrix_transpose(out) if upper else out
    inner = xp.linalg.solve(lower, symmetric_part(xp, t))
    inner = xp.linalg.solve(lower, xp.matrix_transpose(inner))
    moved = xp.matmul(lower, _half_lower(xp, inner))
    return xp.matrix_transpose(moved) if upper else moved


def _cholesky_pull(xp: Any, g: Array, out: Array, x: Array, *, upper: bool = False) -> Array:
    lower, g = (xp.matrix_transpose(z) if upper else z for z in (out, g))
    flipped = xp.matrix_transpose(lower)
    inner = _half_lower(xp, xp.matmul(flipped, xp.tril(g)))
    inner = xp.add(inner, xp.matrix_transpose(inner))
    inner = xp.linalg.solve(flipped, inner)
    inner = xp.linalg.solve(flipped, xp.matrix_transpose(inner))
    return symmetric_part(xp, xp.multiply(inner, 0.5))


class _SlogDet(Rule):
    """The sign is a constant; the logarithm of the absolute value has the rule."""

    def bind(self, space: Any, fn: Any) -> Any:
        """Return the traced function."""
        logarithm = General((_logdet_pull,), (_logdet_push,))

        def slogdet(x: Array, /) -> Any:
            found = fn(strip(x))
            if type(x) is not Traced:
                return found
            logabsdet = logarithm.bind(space, lambda _: found[1])(x)
            return like_tuple(found, (found[0], logabsdet))

        return slogdet


_MATMUL = Bilinear("matmul", _matmul_x, _matmul_y)
_TENSORDOT = Bilinear("tensordot", _tensordot_x, _tensordot_y)

RULES: dict[str, Rule] = {
    "matmul": _MATMUL,
    "linalg.matmul": _MATMUL,
    "tensordot": _TENSORDOT,
    "linalg.tensordot": _TENSORDOT,
    "vecdot": Composite(_vecdot),
    "linalg.vecdot": Composite(_vecdot),
    "linalg.matrix_transpose": Composite(lambda xp, x: xp.matrix_transpose(x)),
    "linalg.outer": Composite(_outer),
    "linalg.cross": Composite(_cross),
    "linalg.diagonal": Composite(_diagonal),
    "linalg.trace": Composite(_trace),
    "linalg.matrix_power": Composite(_matrix_power),
    "linalg.inv": General((_inv_pull,), (_inv_push,)),
    "linalg.solve": General(
        (_solve_a, _solve_b),
        (_solve_push_a, lambda xp, t, out, a, b: xp.linalg.solve(a, t)),
    ),
    "linalg.det": General((_det_pull,), (_det_push,)),
    "linalg.slogdet": _SlogDet(),
    "linalg.cholesky": General((_cholesky_pull,), (_cholesky_push,)),
}
