"""The matrices of an oracle as operators of SciPy, for its solvers and eigenvalue routines."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..arrays import float_info
from ..backend import Backend
from ._batch import Model, open_batch, open_model
from ._implicit import plain
from ._rows import check_loss

__all__ = ["linear_operators"]

Array = Any
Tree = Any


def linear_operators(
    loss: Any,
    predict: Any,
    params: Tree,
    inputs: Tree,
    targets: Array,
    weights: Array | None = None,
) -> tuple[Any, Any, Any]:
    """Return K = J J^T, B = J^T omega H J and J as linear operators of SciPy.

    Parameters
    ----------
    loss, predict
        As for `GaussNewton`.
    params, inputs, targets, weights
        As for ``GaussNewton.direction``.

    Returns
    -------
    tuple of scipy.sparse.linalg.LinearOperator
        K (m k, m k), the generalised Gauss-Newton matrix B (p, p), and J (m k, p), on NumPy
        vectors: outputs row by row, and the leaves of `params` one after another.

    Raises
    ------
    TypeError, ValueError
        As ``GaussNewton.direction`` does.

    Notes
    -----
    Matrix-free: a product with K or B is one pull and one push. *Derivatives*: none.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import linear_operators
    >>> x = np.asarray([[1.0, 0.0], [1.0, 1.0]])
    >>> K, B, J = linear_operators(squared, lambda w, x: x @ w, np.zeros(2), x, np.zeros(2))
    >>> K @ np.asarray([1.0, 0.0]), J.T @ np.asarray([0.0, 1.0]), B.shape
    (array([1., 1.]), array([1., 1.]), (2, 2))
    """
    from scipy.sparse.linalg import LinearOperator

    check_loss(loss)
    batch = open_batch(params, inputs, targets, weights)
    arrays = plain(batch.backend, (batch.params, batch.inputs, batch.targets, batch.weights))
    backend = getattr(batch.backend, "base", batch.backend)
    batch = type(batch)(backend, *arrays)
    model = open_model(backend, loss, predict, batch, 1.0, None, 0.0)
    line, curvature = model.line, model.rows.curvature(model.outputs)
    outputs, weights_of = _Rows(model), _Leaves(model)
    n, p = outputs.size, weights_of.size

    def operator(shape: tuple[int, int], f: Any, read: Any, write: Any, back: Any = None) -> Any:
        def product(v: Any) -> Any:
            return write.to_host(f(read.from_host(v)))

        def transposed(v: Any) -> Any:
            return read.to_host((back or f)(write.from_host(v)))

        return LinearOperator(shape, matvec=product, rmatvec=transposed, dtype=outputs.host_dtype)

    return (
        operator((n, n), lambda u: line.push(line.pull(u)), outputs, outputs),
        operator((p, p), lambda v: model.pull(curvature(line.push(v))), weights_of, weights_of),
        operator((n, p), line.push, weights_of, outputs, line.pull),
    )


class _Rows:
    """Outputs (m, k) as vectors of NumPy."""

    def __init__(self, model: Model) -> None:
        like = model.outputs
        info = float_info(like.dtype)
        self.shape, self.size = tuple(like.shape), prod(like.shape)
        self.host_dtype = info.name if info else "float64"
        self._backend = model.backend
        self._from = _reader(model.backend, like, self.host_dtype)

    def from_host(self, v: Any) -> Array:
        return self._from(v, self.shape)

    def to_host(self, x: Array) -> Any:
        return self._backend.to_host(x).reshape(-1)


class _Leaves:
    """Parameters as vectors of NumPy."""

    def __init__(self, model: Model) -> None:
        self.shapes = [tuple(x.shape) for x in model.leaves]
        self.size = sum(prod(shape) for shape in self.shapes)
        self._backend = model.backend
        self._from = _reader(model.backend, model.outputs, _Rows(model).host_dtype)

    def from_host(self, v: Any) -> list[Array]:
        leaves, first, v = [], 0, v.reshape(-1)
        for shape in self.shapes:
            leaves.append(self._from(v[first : first + prod(shape)], shape))
            first += prod(shape)
        return leaves

    def to_host(self, leaves: list[Array]) -> Any:
        import numpy as np

        return np.concatenate([self._backend.to_host(x).reshape(-1) for x in leaves])


def _reader(backend: Backend, like: Array, dtype: str) -> Callable[..., Array]:
    """Return the function that carries NumPy numbers to the library and device of `like`."""
    xp, device = backend.namespace, backend.device_of(like)

    def read(v: Any, shape: tuple[int, ...]) -> Array:
        moved = backend.from_host(v.reshape(shape).astype(dtype))
        return moved if device is None else xp.asarray(moved, device=device)

    return read
