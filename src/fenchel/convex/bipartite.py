r"""Linear systems of transport problems: the Laplacian of a weighted bipartite graph.

A plan is a function of potentials of its columns, each row having been brought to its sum; the
Jacobian of its column sums in those potentials is

    L = diag(W' 1) - W' diag(W 1)^-1 W,

with W the plan (entropic problem) or the 0/1 matrix of its support (Euclidean problem). Its kernel
is spanned by the indicators of the connected components. The inverse on the complement is taken
once, on detached data, of a matrix of the smaller of the two sizes: with C = diag(W' 1),
R = diag(W 1) and H = R^-1/2 W C^-1/2, L = C^1/2 (I - H'H) C^1/2, and on the range of the latter

    (I - H'H)^+ = I + H' (I - HH')^+ H.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..arrays import float_info
from ..backend import Array, Backend
from ..kernels import reference_kernel
from ..parameters import known_to

__all__ = ["Bipartite", "bipartite_parts"]

# Below this many roundings a link counts as none: its potentials could not be told from noise.
_WEAKEST_LINK = 4


class _Parts(NamedTuple):
    """What is found on detached data."""

    half: Array  # H, (..., n, m)
    root: Array  # square roots of the column sums, (..., m)
    labels: Array  # component of a column, (..., m)
    inverse: Array  # of I - H'H or I - HH' with its kernel filled, whichever is smaller


class Bipartite:
    """The graph whose edges are the entries of a matrix of weights.

    Parameters
    ----------
    backend
        Adapter of the arrays that systems will be solved for.
    weights
        Detached matrices (..., n, m), not negative.
    """

    def __init__(self, backend: Backend, weights: Array) -> None:
        parts = reference_kernel(backend, bipartite_parts)(weights)
        self._backend = backend
        self._half, self._root, self._labels, self._inverse = (known_to(backend, x) for x in parts)

    def component_sums(self, y: Array) -> Array:
        """Return for each column the sum of `y` (..., m) over its component."""
        n, m = self._half.shape[-2:]
        sums = self._backend.segment_sum(y, self._labels, max(n, m))
        return self._backend.namespace.take_along_axis(sums, self._labels, axis=-1)

    def solve(self, y: Array) -> Array:
        """Return a solution x of L x = y, both (..., m); y sums to 0 on each component."""
        xp = self._backend.namespace
        y = xp.divide(y, self._root)
        n, m = self._half.shape[-2:]
        if m <= n:
            x = self._times(self._inverse, y)
        else:
            inner = self._times(self._inverse, self._times(self._half, y))
            x = xp.add(y, self._times(xp.matrix_transpose(self._half), inner))
        return xp.divide(x, self._root)

    def _times(self, matrix: Array, x: Array) -> Array:
        xp = self._backend.namespace
        return xp.squeeze(xp.matmul(matrix, xp.expand_dims(x, axis=-1)), axis=-1)


def bipartite_parts(backend: Backend, weights: Array) -> _Parts:
    """Reference kernel: the parts of `Bipartite`."""
    xp = backend.namespace
    rows, columns = xp.sum(weights, axis=-1), xp.sum(weights, axis=-2)
    row_root, root = (xp.sqrt(xp.where(s > 0, s, xp.ones_like(s))) for s in (rows, columns))
    half = weights / row_root[..., :, None] / root[..., None, :]
    n, m = weights.shape[-2:]
    if m <= n:
        gram = xp.matmul(xp.matrix_transpose(half), half)
        inverse, labels = _inverse(backend, gram, root)
    else:
        gram = xp.matmul(half, xp.matrix_transpose(half))
        inverse, row_labels = _inverse(backend, gram, row_root)
        # A column belongs to the component of its heaviest row.
        heaviest = xp.argmax(weights, axis=-2)
        labels = xp.take_along_axis(row_labels, heaviest, axis=-1)
    return _Parts(half, root, labels, inverse)


def _inverse(backend: Backend, gram: Array, root: Array) -> tuple[Array, Array]:
    """Return the inverse of I - gram, its kernel filled, and the component of each vertex.

    The diagonal is summed up from the links, without cancellation: gram maps `root` to itself.
    """
    xp = backend.namespace
    size = gram.shape[-1]
    info = float_info(gram.dtype)
    eps = info.eps if info is not None else 0.0
    places = xp.arange(size, device=backend.device_of(gram))
    self_link = places[:, None] == places[None, :]
    none = xp.zeros_like(gram)
    links = xp.where(self_link | ~(gram > _WEAKEST_LINK * eps), none, gram)
    degree = xp.sum(links * root[..., None, :], axis=-1) / root
    reach = _reach(xp, self_link | (links > 0), gram.dtype)
    beyond = xp.full_like(places, size)
    labels = xp.min(xp.where(reach, places, beyond), axis=-1)
    members = xp.where(reach, xp.ones_like(gram), none)
    # The kernel, component by component: root restricted to it.
    norm = xp.sqrt(xp.sum(members * (root * root)[..., None, :], axis=-1))
    unit = root / norm
    fill = members * unit[..., :, None] * unit[..., None, :]
    diagonal = xp.where(self_link, (degree + _WEAKEST_LINK * eps)[..., :, None], none)
    return xp.linalg.inv(diagonal - links + fill), labels


def _reach(xp: Any, linked: Array, dtype: Any) -> Array:
    """Return which vertices are connected, by squaring the matrix of links."""
    for _ in range(math.ceil(math.log2(max(linked.shape[-1], 2)))):
        steps = xp.astype(linked, dtype)
        linked = xp.matmul(steps, steps) > 0
    return linked
