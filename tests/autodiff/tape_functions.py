"""Functions of the array API, each with a sample: the table that the tests of the tape share.

Each is `f(xp, x)` with one real array `x`, written so that NumPy, the strict library, JAX and the
tape can all run it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A function with the sample to differentiate it at."""

    name: str
    f: Callable
    sample: np.ndarray


_RNG = np.random.default_rng(7)
_SHAPE = (3, 4)


def _draw(low, high, shape=_SHAPE):
    return _RNG.uniform(low, high, shape)


def _other(xp, shape=_SHAPE):
    n = int(np.prod(shape))
    return xp.reshape(xp.linspace(0.4, 1.9, n), shape)


def _square(xp, x):
    """A well-conditioned square matrix that depends on `x`."""
    return xp.add(xp.matmul(x, xp.matrix_transpose(x)), xp.multiply(xp.eye(x.shape[-2]), 2.0))


def _general(xp, x):
    """A well-conditioned square matrix without symmetry."""
    return xp.add(xp.add(x, xp.multiply(x, x)), xp.multiply(xp.eye(x.shape[-1]), 3.0))


_UNARY = {
    "abs": (-2, -0.5),
    "acos": (-0.8, 0.8),
    "acosh": (1.5, 3),
    "asin": (-0.8, 0.8),
    "asinh": (-2, 2),
    "atan": (-2, 2),
    "atanh": (-0.8, 0.8),
    "cos": (-2, 2),
    "cosh": (-2, 2),
    "exp": (-2, 2),
    "expm1": (-2, 2),
    "log": (0.5, 3),
    "log10": (0.5, 3),
    "log1p": (-0.5, 3),
    "log2": (0.5, 3),
    "negative": (-2, 2),
    "positive": (-2, 2),
    "reciprocal": (0.5, 3),
    "sin": (-2, 2),
    "sinh": (-2, 2),
    "sqrt": (0.5, 3),
    "square": (-2, 2),
    "tan": (-1, 1),
    "tanh": (-2, 2),
}
_BINARY = (
    *("add", "subtract", "multiply", "divide", "pow", "atan2", "hypot", "logaddexp"),
    *("maximum", "minimum", "remainder", "copysign"),
)


def _unary(name):
    return lambda xp, x: getattr(xp, name)(x)


def _both(name):
    """Both arguments depend on x, and the second is broadcast."""

    def f(xp, x):
        row = xp.add(xp.sum(xp.multiply(x, x), axis=0), 0.3)
        return getattr(xp, name)(x, xp.add(xp.multiply(row, 0.3), 0.1))

    return f


def _constant_first(name):
    return lambda xp, x: getattr(xp, name)(_other(xp), x)


def _by_axis(name, **options):
    return lambda xp, x: getattr(xp, name)(x, **options)


_REDUCTIONS = {
    "sum": _by_axis("sum", axis=1),
    "sum of all": _by_axis("sum"),
    "mean": _by_axis("mean", axis=(0, 1), keepdims=True),
    "mean of columns": _by_axis("mean", axis=0),
    "max": _by_axis("max", axis=1),
    "min": _by_axis("min", axis=0, keepdims=True),
    "prod": _by_axis("prod", axis=1),
    "prod of all": _by_axis("prod"),
    "var": _by_axis("var", axis=1, correction=1),
    "std": _by_axis("std", axis=0),
    "cumulative_sum": _by_axis("cumulative_sum", axis=1),
    "cumulative_sum from zero": _by_axis("cumulative_sum", axis=0, include_initial=True),
    "cumulative_prod": _by_axis("cumulative_prod", axis=1),
    "sort": _by_axis("sort", axis=1),
    "sort down": _by_axis("sort", axis=0, descending=True),
    "diff": _by_axis("diff", axis=1, n=2),
    "softmax": lambda xp, x: xp.divide(xp.exp(x), xp.sum(xp.exp(x), axis=1, keepdims=True)),
    "logsumexp": lambda xp, x: xp.log(xp.sum(xp.exp(x), axis=1)),
}

_MANIPULATION = {
    "reshape": lambda xp, x: xp.reshape(x, (2, 6)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "moveaxis": lambda xp, x: xp.moveaxis(xp.reshape(x, (3, 2, 2)), 0, 2),
    "expand_dims and squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=1), axis=1),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, 3, 4)),
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x[:1, :], _other(xp))[0],
    "concat": lambda xp, x: xp.concat((x, xp.multiply(x, x), _other(xp)), axis=1),
    "concat flat": lambda xp, x: xp.concat((x, _other(xp, (2,))), axis=None),
    "stack": lambda xp, x: xp.stack((x, xp.sin(x), _other(xp)), axis=1),
    "unstack": lambda xp, x: xp.multiply(*xp.unstack(x, axis=0)[:2]),
    "flip": lambda xp, x: xp.flip(x, axis=1),
    "roll": lambda xp, x: xp.roll(x, (1, 2), axis=(0, 1)),
    "roll flat": lambda xp, x: xp.roll(x, 5),
    "tile": lambda xp, x: xp.tile(x, (2, 1, 3)),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "tril": lambda xp, x: xp.tril(x, k=-1),
    "triu": lambda xp, x: xp.triu(x, k=1),
    "where": lambda xp, x: xp.where(x > 0.5, xp.sin(x), xp.exp(x)),
    "clip": lambda xp, x: xp.clip(x, 0.3, 1.1),
    "meshgrid": lambda xp, x: xp.multiply(*xp.meshgrid(x[0, :], x[:, 0])),
    "full_like": lambda xp, x: xp.multiply(xp.full_like(x, 3.0), x),
}


def _mask(xp):
    mask = np.arange(12).reshape(3, 4) % 5 < 2
    # JAX needs a mask that is known when it compiles.
    return mask if getattr(xp, "__name__", "") == "jax.numpy" else xp.asarray(mask)


_INDEXING = {
    "slice": lambda xp, x: x[1:, ::-2],
    "integer": lambda xp, x: x[1, ...],
    "new axis": lambda xp, x: x[:, None, 2:3],
    "mask": lambda xp, x: x[_mask(xp)],
    "integer arrays": lambda xp, x: x[xp.asarray([0, 2, 0]), xp.asarray([1, 3, 1])],
    "take": lambda xp, x: xp.take(x, xp.asarray([3, 0, 0, 1]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(
        x, xp.asarray([[1, 1], [0, 2], [3, 3]]), axis=1
    ),
    "operators": lambda xp, x: (-x + 2.0) ** 2 / (x * x + 1.0) - abs(x) % 0.7 + 1.5**x,
    "reflected operators": lambda xp, x: 2.0 - 3.0 / (1.0 + x) * (5.0 * x),
}

_LINALG = {
    "matmul": lambda xp, x: xp.matmul(x, xp.matrix_transpose(x)),
    "matmul vector": lambda xp, x: xp.matmul(x, xp.sin(x[0, :])),
    "vector matmul": lambda xp, x: xp.matmul(x[:, 1], x),
    "matmul batch": lambda xp, x: xp.matmul(
        xp.reshape(x, (3, 2, 2)), xp.reshape(x, (1, 3, 2, 2))[0, :1, ...]
    ),
    "tensordot": lambda xp, x: (
        xp.tensordot(x, xp.multiply(x, x), axes=1)
        if x.shape[0] == x.shape[1]
        else xp.tensordot(x, xp.sin(x), axes=((1,), (1,)))
    ),
    "tensordot of two axes": lambda xp, x: xp.tensordot(
        xp.reshape(x, (3, 2, 2)), xp.reshape(xp.exp(x), (2, 3, 2)), axes=((2, 0), (0, 1))
    ),
    "vecdot": lambda xp, x: xp.vecdot(x, xp.sin(x)),
    "outer": lambda xp, x: xp.linalg.outer(x[0, :], x[:, 1]),
    "cross": lambda xp, x: xp.linalg.cross(x, xp.exp(x), axis=-2),
    "trace": lambda xp, x: xp.linalg.trace(_square(xp, x), offset=1),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=-1),
    "matrix_power": lambda xp, x: xp.linalg.matrix_power(x[:, :3], 3),
    "inv": lambda xp, x: xp.linalg.inv(_general(xp, x[:, :3])),
    "solve": lambda xp, x: xp.linalg.solve(_general(xp, x[:, :3]), xp.sin(x)),
    "solve vector": lambda xp, x: xp.linalg.solve(_general(xp, x[:, :3]), xp.sin(x[:, 3])),
    "det": lambda xp, x: xp.linalg.det(_general(xp, x[:, :3])),
    "slogdet": lambda xp, x: xp.linalg.slogdet(_general(xp, x[:, :3]))[1],
    "cholesky": lambda xp, x: xp.linalg.cholesky(_square(xp, x)),
    "eigvalsh": lambda xp, x: xp.linalg.eigvalsh(_square(xp, x)),
    "eigh": lambda xp, x: xp.square(xp.linalg.eigh(_square(xp, x))[1]),
    "svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "svd": lambda xp, x: xp.square(xp.linalg.svd(x, full_matrices=False)[2]),
    "qr": lambda xp, x: xp.square(xp.linalg.qr(xp.matrix_transpose(x))[0]),
    "pinv": lambda xp, x: xp.linalg.pinv(x),
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(x, axis=1),
    "vector_norm of order 3": lambda xp, x: xp.linalg.vector_norm(x, axis=1, ord=3),
    "vector_norm of order 1": lambda xp, x: xp.linalg.vector_norm(x, ord=1),
    "largest entry": lambda xp, x: xp.linalg.vector_norm(x, axis=0, ord=float("inf")),
    "matrix_norm": lambda xp, x: xp.linalg.matrix_norm(x),
    "spectral norm": lambda xp, x: xp.linalg.matrix_norm(x, ord=2),
    "nuclear norm": lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc"),
}

_POSITIVE = _draw(0.2, 1.7)

CASES = [
    *(Case(name, _unary(name), _draw(*interval)) for name, interval in _UNARY.items()),
    *(Case(name, _both(name), _POSITIVE) for name in _BINARY),
    *(Case(f"{name} by a constant", _constant_first(name), _POSITIVE) for name in _BINARY),
    *(Case(name, f, _POSITIVE) for name, f in _REDUCTIONS.items()),
    *(Case(name, f, _POSITIVE) for name, f in _MANIPULATION.items()),
    *(Case(name, f, _POSITIVE) for name, f in _INDEXING.items()),
    *(Case(name, f, _POSITIVE) for name, f in _LINALG.items()),
]
BY_NAME = {case.name: case for case in CASES}
