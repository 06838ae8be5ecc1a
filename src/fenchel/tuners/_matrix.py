"""Second derivatives of an objective as a symmetric matrix that acts on flat vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from ..arrays import check_choice
from ..autodiff import ggn_vp, grad, hvp, vjp
from ..autodiff.arguments import check_leaves
from ..backend import Backend, backend_of
from ..trees import backend_of_tree, is_array, leaves, map, norm

__all__ = [
    "CURVATURES",
    "Matrix",
    "check_like",
    "constants",
    "eigh",
    "matrix_of",
    "positive",
    "random_unit",
    "unit",
]

Tree = Any
Array = Any

CURVATURES = ("hessian", "ggn", "grad_difference")


@dataclass(frozen=True)
class Matrix:
    """A symmetric matrix given by its products, on vectors of all entries of a container."""

    backend: Backend
    params: Tree
    scaling: Array | None
    product: Callable[[Tree], Tree]

    @property
    def like(self) -> Array:
        """An array with the library and the device of the vectors."""
        return leaves(self.params)[0]

    @property
    def dtype(self) -> Any:
        """float64 where a leaf has it, else float32: never a half type."""
        xp = self.backend.namespace
        wide = any(leaf.dtype == xp.float64 for leaf in leaves(self.params))
        return xp.float64 if wide else xp.float32

    @property
    def size(self) -> int:
        """How many rows the matrix has."""
        return sum(prod(leaf.shape) for leaf in leaves(self.params))

    @property
    def traced(self) -> bool:
        """Whether values are out of reach."""
        return any(self.backend.is_traced(leaf) for leaf in leaves(self.params))

    def ravel(self, tree: Tree) -> Array:
        """Return the entries of a container as one vector."""
        xp, found = self.backend.namespace, leaves(tree)
        return xp.concat([xp.reshape(xp.astype(leaf, self.dtype), (-1,)) for leaf in found])

    def unravel(self, vector: Array) -> Tree:
        """Return a vector, or a stack of vectors, in the container of the parameters."""
        xp, lead, start, parts = self.backend.namespace, tuple(vector.shape[:-1]), 0, []
        found, structure = self.backend.tree_flatten(self.params)
        for leaf in found:
            stop = start + prod(leaf.shape)
            part = xp.reshape(vector[..., start:stop], (*lead, *leaf.shape))
            parts.append(xp.astype(part, leaf.dtype))
            start = stop
        return self.backend.tree_unflatten(structure, parts)

    def apply(self, vector: Array) -> Array:
        """Return the product with a vector."""
        if self.scaling is None:
            return self.ravel(self.product(self.unravel(vector)))
        return self.ravel(self.product(self.unravel(vector * self.scaling))) * self.scaling


def constants(tree: Tree) -> Tree:
    """Return a container whose arrays carry no derivative."""
    if not any(is_array(leaf) for leaf in leaves(tree)):
        return tree
    backend = backend_of_tree(tree)
    return map(lambda leaf: backend.stop_gradient(leaf) if is_array(leaf) else leaf, tree)


def matrix_of(
    objective: Callable[..., Any],
    params: Tree,
    data: tuple[Any, ...],
    curvature: str,
    preconditioner: Tree | None = None,
) -> Matrix:
    """Return the Hessian or the Gauss-Newton matrix of an objective, scaled from both sides."""
    check_choice("curvature", curvature, CURVATURES)
    check_leaves("params", params)
    backend = backend_of_tree(params)
    matrix = Matrix(backend, params, None, _product(objective, params, data, curvature))
    if not matrix.size:
        raise ValueError("`params` must hold at least one entry; got none")
    if preconditioner is None:
        return matrix
    xp = backend.namespace
    check_like("preconditioner", preconditioner, params)
    scaling = 1.0 / xp.sqrt(matrix.ravel(preconditioner))
    return Matrix(backend, params, scaling, matrix.product)


def check_like(name: str, tree: Tree, params: Tree, lead: tuple[int, ...] = ()) -> None:
    """Raise unless a container holds arrays of the shapes of `params`, with leading axes."""
    backend = backend_of_tree(params)

    def check(leaf: Any, other: Any) -> None:
        shape = tuple(other.shape) if is_array(other) else type(other).__qualname__
        wanted = (*lead, *leaf.shape)
        if shape != wanted:
            raise ValueError(f"`{name}` must have the shapes of `params`; got {shape} for {wanted}")
        if backend_of(other).name != backend.name:
            raise TypeError(
                f"`{name}` must hold arrays of {backend.name}; got one of {backend_of(other).name}"
            )

    map(check, params, tree)


def _product(
    objective: Callable[..., Any], params: Tree, data: tuple[Any, ...], curvature: str
) -> Callable[[Tree], Tree]:
    if curvature == "ggn":
        loss, predict = _parts(objective)
        if len(data) != 2:
            raise TypeError(f"`data` must be inputs and targets for ggn; got {len(data)} arguments")
        inputs, targets = data
        return lambda v: ggn_vp(
            lambda outputs: loss(outputs, targets), lambda p: predict(p, inputs), params, v
        )
    if curvature == "grad_difference":
        return lambda v: hvp(lambda p: objective(p, *data), params, v, mode="finite")
    return _hessian_product(lambda p: objective(p, *data), params)


def _hessian_product(f: Callable[[Tree], Any], params: Tree) -> Callable[[Tree], Tree]:
    """Return products with the Hessian; where values are at hand, from one recorded gradient.

    The Hessian is symmetric: the pullback of the gradient, recorded once, gives each product for
    the price of a reverse sweep. A compiler hoists what products share by itself.
    """
    backend = backend_of_tree(params)
    if any(backend.is_traced(leaf) for leaf in leaves(params)):
        return lambda v: hvp(f, params, v)
    # Recorded here and not at the first product, which may be traced while the rest is not.
    pullback = vjp(grad(f), params)[1]
    return lambda v: pullback(v)[0]


def _parts(objective: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if not (hasattr(objective, "loss") and hasattr(objective, "predict")):
        raise TypeError(
            "`objective` must have attributes `loss` and `predict` for ggn; "
            f"got {type(objective).__qualname__}"
        )
    return objective.loss, objective.predict


def unit(vector: Array) -> Array:
    """Return a vector divided by its norm, 0 for 0."""
    return vector / positive(norm(vector))


def positive(length: Array) -> Array:
    """Return lengths with 1 in place of 0, to divide by."""
    xp = backend_of(length).namespace
    return xp.where(length == 0, xp.ones_like(length), length)


def random_unit(matrix: Matrix, draw: Any) -> Array:
    """Return a direction drawn uniformly."""
    return unit(matrix.backend.namespace.astype(draw.normal((matrix.size,)), matrix.dtype))


def eigh(backend: Backend, matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues, ascending, and eigenvectors of a small symmetric matrix; NaN for NaN."""
    xp = backend.namespace
    finite = xp.isfinite(matrix)
    values, vectors = _finite_eigh(backend, xp.where(finite, matrix, xp.zeros_like(matrix)))
    # Libraries raise at a NaN, or return numbers.
    sound = xp.all(finite)
    nan = xp.full_like(values, float("nan"))
    return xp.where(sound, values, nan), xp.where(sound, vectors, nan)


def _finite_eigh(backend: Backend, matrix: Array) -> tuple[Array, Array]:
    linalg = getattr(backend.namespace, "linalg", None)
    if linalg is not None and hasattr(linalg, "eigh"):
        values, vectors = linalg.eigh(matrix)
        return values, vectors
    import numpy as np

    values, vectors = np.linalg.eigh(backend.to_host(matrix))
    return backend.from_host(values), backend.from_host(vectors)
