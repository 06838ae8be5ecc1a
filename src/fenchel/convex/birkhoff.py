"""The Birkhoff polytope: doubly stochastic matrices, the convex hull of permutations."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array
from ..trees import register_dataclass
from .euclidean_plan import euclidean_plan
from .matrices import Matrices, open_matrices
from .plans import sinkhorn
from .transport import within_marginals
from .vertices import transport_vertex

__all__ = ["Birkhoff", "project_birkhoff", "project_kl_birkhoff"]


@register_dataclass()
@dataclass(frozen=True)
class Birkhoff:
    """The doubly stochastic matrices {P >= 0, row and column sums 1}, on the last two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Birkhoff
    >>> x = np.asarray([[0.5, 0.0], [0.0, 0.5]])
    >>> Birkhoff().project(x).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    >>> Birkhoff().linear_argmax(x).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def project(self, x: Array, /) -> Array:
        """Return the nearest doubly stochastic matrix (see `project_birkhoff`)."""
        return project_birkhoff(x)

    def project_kl(self, x: Array, /, *, temperature: Array | float = 1.0) -> Array:
        """Return the entropic projection (see `project_kl_birkhoff`)."""
        return project_kl_birkhoff(x, temperature=temperature)

    def linear_argmax(self, x: Array, /) -> Array:
        """Return the permutation matrix that maximises <P, x>: one of them if there are ties.

        An assignment problem, solved on the host by SciPy, which must be installed; a constant for
        derivatives. It runs under the compiler of JAX, but not under those transformations of
        PyTorch that hide values (compile, vmap).
        """
        given, ones = _open(x)
        return given.close(transport_vertex(given, ones, ones))

    def contains(self, x: Array, tol: float = 1e-6, /) -> Array:
        """Return for each matrix whether it is in the set up to `tol`."""
        given, ones = _open(x)
        return within_marginals(given, ones, ones, tol)


def project_birkhoff(x: Array, /) -> Array:
    """Return the doubly stochastic matrix nearest to each matrix of `x`.

    Parameters
    ----------
    x
        Square matrices, real floating of shape (..., n, n). Entries of -inf get 0.

    Returns
    -------
    array
        max(x + u + v, 0) with one number u a row and one number v a column; like `x`.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If its last two axes are not those of non-empty square matrices.

    Notes
    -----
    See `project_transport`. *Derivatives*: in `x`, to every order, almost everywhere.

    References
    ----------
    Li, Sun and Toh (2020), arXiv:1702.05934.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_birkhoff
    >>> project_birkhoff(np.asarray([[0.5, 0.0], [0.0, 0.5]])).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    given, ones = _open(x)
    return given.close(euclidean_plan(given, ones, ones))


def project_kl_birkhoff(x: Array, /, *, temperature: Array | float = 1.0) -> Array:
    """Return the doubly stochastic P that maximises <P, x> - temperature * sum P log P.

    It is the projection of exp(x / temperature) in the Kullback-Leibler divergence.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n, n). Entries of -inf get 0.
    temperature
        Strength of the entropy: a number, or an array of shape () or (..., 1, 1). At the number 0
        the result is that of `Birkhoff.linear_argmax`.

    Returns
    -------
    array
        Like `x`. Column sums are right up to the tolerance of `sinkhorn`, row sums up to rounding.

    Raises
    ------
    TypeError
        If `x` is no array with a real floating dtype.
    ValueError
        If its last two axes are not those of non-empty square matrices.

    Notes
    -----
    *Derivatives*: those of `sinkhorn`, implicit, in `x` and an array `temperature`.

    References
    ----------
    Cuturi (2013), arXiv:1306.0895.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_birkhoff
    >>> project_kl_birkhoff(np.asarray([[0.5, 0.0], [0.0, 0.25]])).round(3).tolist()
    [[0.593, 0.407], [0.407, 0.593]]
    """
    given, ones = _open(x, temperature)
    return given.close(sinkhorn(given.x, ones, ones, temperature=temperature))


def _open(x: Array, *others: Array | float) -> tuple[Matrices, Array]:
    """Check a square matrix argument; return with it the marginals."""
    given = open_matrices(x, *others)
    if given.x.shape[-1] != given.x.shape[-2]:
        raise ValueError(f"`x` must be square matrices; got shape {tuple(given.x.shape)}")
    return given, given.backend.namespace.ones_like(given.backend.stop_gradient(given.x[..., 0]))
