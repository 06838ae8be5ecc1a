"""The transport polytope: plans with given row and column sums."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import Array
from ..trees import register_dataclass
from .euclidean_plan import euclidean_plan
from .matrices import Matrices, check_marginals, marginal, open_matrices
from .plans import sinkhorn
from .vertices import transport_vertex

__all__ = ["Transport", "project_kl_transport", "project_transport"]


@register_dataclass()
@dataclass(frozen=True, eq=False)
class Transport:
    """The transport polytope {P >= 0, row sums a, column sums b}, on the last two axes.

    Parameters
    ----------
    a, b
        Row and column sums, arrays of shape (..., n) and (..., m), of one total.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import Transport
    >>> plans = Transport(np.asarray([1.0, 2.0]), np.asarray([1.5, 1.5]))
    >>> x = np.asarray([[1.0, 0.0], [0.0, 0.0]])
    >>> plans.project(x).tolist()
    [[0.75, 0.25], [0.75, 1.25]]
    >>> plans.linear_argmax(x).tolist()
    [[1.0, 0.0], [0.5, 1.5]]
    """

    a: Array
    b: Array

    def project(self, x: Array, /) -> Array:
        """Return the nearest plan (see `project_transport`)."""
        return project_transport(x, self.a, self.b)

    def project_kl(self, x: Array, /, *, temperature: Array | float = 1.0) -> Array:
        """Return the entropic projection (see `project_kl_transport`)."""
        return project_kl_transport(x, self.a, self.b, temperature=temperature)

    def linear_argmax(self, x: Array, /) -> Array:
        """Return a plan that maximises <P, x>: a vertex, one of them if there are ties.

        A linear program, or an assignment where all sums are equal, solved on the host by SciPy,
        which must be installed; a constant for derivatives. It runs under the compiler of JAX, but
        not under those transformations of PyTorch that hide values (compile, vmap).
        """
        given, a, b = _open(x, self.a, self.b)
        return given.close(transport_vertex(given, a, b))

    def contains(self, x: Array, tol: float = 1e-6, /) -> Array:
        """Return for each matrix whether it is in the set up to `tol`."""
        given, a, b = _open(x, self.a, self.b)
        return within_marginals(given, a, b, tol)


def within_marginals(given: Matrices, a: Array, b: Array, tol: float) -> Array:
    """Return for each matrix whether it is a plan with these marginals, up to `tol`."""
    xp, x = given.backend.namespace, given.x
    rows = xp.all(xp.abs(xp.subtract(xp.sum(x, axis=-1), a)) <= tol, axis=-1)
    columns = xp.all(xp.abs(xp.subtract(xp.sum(x, axis=-2), b)) <= tol, axis=-1)
    return xp.all(x >= -tol, axis=(-2, -1)) & rows & columns


def project_transport(x: Array, a: Array, b: Array, /) -> Array:
    """Return the matrix nearest to `x` among those >= 0 with row sums `a` and column sums `b`.

    Parameters
    ----------
    x
        Matrices, real floating of shape (..., n, m). Entries of -inf get 0.
    a, b
        Row and column sums, arrays of shape (..., n) and (..., m), of one total; they may be 0.

    Returns
    -------
    array
        max(x + u + v, 0) with one number u a row and one number v a column; like `x`.

    Raises
    ------
    TypeError
        If an argument is no array of one library with a real floating dtype.
    ValueError
        If an axis is empty, a shape does not broadcast, a marginal has a negative entry, or totals
        differ by more than one percent. The values of marginals are looked at where they are known,
        not under jit, compile or vmap.

    Notes
    -----
    The support is found by a Newton method on the semi-dual, 5 to 50 steps of O(n m log m + m^3)
    with m <= n; rounding aside, the projection on it is exact. Where the totals of `a` and `b`
    differ slightly, or where a part of the support is cut off from the rest, columns share the mass
    of their rows in the proportions of `b`. If -inf leaves no plan, the result is not one either.

    *Derivatives*: in `x`, `a` and `b`, to every order, almost everywhere: the projection is affine
    as long as the support stays.

    References
    ----------
    Blondel, Seguy and Rolet (2018), arXiv:1710.06276; Li, Sun and Toh (2020), arXiv:1702.05934.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_transport
    >>> x = np.asarray([[1.0, 0.0], [0.0, 0.0]])
    >>> project_transport(x, np.asarray([1.0, 2.0]), np.asarray([1.5, 1.5])).tolist()
    [[0.75, 0.25], [0.75, 1.25]]
    """
    given, a, b = _open(x, a, b)
    return given.close(euclidean_plan(given, a, b))


def project_kl_transport(
    x: Array, a: Array, b: Array, /, *, temperature: Array | float = 1.0
) -> Array:
    """Return the entropic projection on plans: argmax <P, x> - temperature * sum P log P.

    It is the projection of exp(x / temperature) in the Kullback-Leibler divergence.

    Parameters
    ----------
    x
        Scores, real floating of shape (..., n, m). Entries of -inf get 0.
    a, b
        Row and column sums, arrays of shape (..., n) and (..., m), of one total; they may be 0.
    temperature
        Strength of the entropy: a number, or an array of shape () or (..., 1, 1). At the number 0
        the result is that of `Transport.linear_argmax`.

    Returns
    -------
    array
        Like `x`. Column sums are right up to the tolerance of `sinkhorn`, row sums up to rounding.

    Raises
    ------
    TypeError
        If an argument is no array of one library with a real floating dtype.
    ValueError
        As `sinkhorn` does.

    Notes
    -----
    *Derivatives*: those of `sinkhorn`, implicit, in `x`, `a`, `b` and an array `temperature`.

    References
    ----------
    Cuturi (2013), arXiv:1306.0895.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.convex import project_kl_transport
    >>> x = np.asarray([[1.0, 0.0], [0.0, 0.0]])
    >>> plan = project_kl_transport(x, np.asarray([1.0, 2.0]), np.asarray([1.5, 1.5]))
    >>> plan.round(3).tolist()
    [[0.662, 0.338], [0.838, 1.162]]
    """
    return sinkhorn(x, a, b, temperature=temperature)


def _open(x: Array, a: Array, b: Array) -> tuple[Matrices, Array, Array]:
    """Check a matrix argument and its marginals."""
    given = open_matrices(x, a, b)
    a = marginal(given, "a", a, given.x.shape[-2])
    b = marginal(given, "b", b, given.x.shape[-1])
    check_marginals(given, a, b)
    return given, a, b
