"""How the eigenvalues of the Hessian of an objective are distributed."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any, NamedTuple

from ..arrays import check_integer, check_number
from ..eager import uncompiled
from ..random import sampler
from ._matrix import Matrix, constants, matrix_of, random_unit
from .lanczos import krylov

__all__ = ["Density", "spectral_density"]

Tree = Any
Array = Any


class Density(NamedTuple):
    """Density of eigenvalues on a grid.

    Parameters
    ----------
    grid
        Where the density was evaluated, ascending.
    density
        Share of the eigenvalues for each unit of length; its integral is 1.

    Examples
    --------
    >>> Density([0.0, 1.0], [1.0, 1.0]).density
    [1.0, 1.0]
    """

    grid: Any
    density: Any


@uncompiled
def spectral_density(
    objective: Callable[..., Any],
    params: Tree,
    *data: Any,
    curvature: str = "hessian",
    preconditioner: Tree | None = None,
    num_samples: int = 10,
    max_iter: int = 40,
    grid: Array | int = 500,
    width: float | None = None,
    rng: Any = 0,
) -> Density:
    """Return the density of the eigenvalues of the Hessian by stochastic Lanczos quadrature.

    Each of `num_samples` random directions v gives a Gauss quadrature of the density seen by v:
    the eigenvalues of the tridiagonal matrix of Lanczos, weighted by the squares of the first
    entries of its eigenvectors. Their mean is smoothed by a Gaussian.

    Parameters
    ----------
    objective, params, *data, curvature, preconditioner
        As for `sharpness`.
    num_samples
        How many directions.
    max_iter
        Products for each direction.
    grid
        Ascending array of places, or how many to choose between the extreme eigenvalues.
    width
        Standard deviation of the Gaussian; by default a hundredth of the range of eigenvalues.
    rng
        Seed, generator or key.

    Returns
    -------
    Density
        `grid` and `density`.

    Raises
    ------
    TypeError
        If `curvature` is "ggn" and the objective lacks its parts.
    ValueError
        If a count is below 1 or `width` is not positive.

    Notes
    -----
    *Derivatives*: a constant of differentiation.

    References
    ----------
    B. Ghorbani, S. Krishnan, Y. Xiao, "An Investigation into Neural Net Optimization via Hessian
    Eigenvalue Density", ICML 2019, arXiv 1901.10159.

    Examples
    --------
    >>> import numpy as np
    >>> curvatures = np.repeat([0.0, 4.0], [30, 10])
    >>> found = spectral_density(lambda w: np.sum(curvatures * w**2) / 2, np.ones(40))
    >>> step = found.grid[1] - found.grid[0]
    >>> round(float(np.sum(found.density) * step), 3)
    1.0
    """
    check_integer("num_samples", num_samples, minimum=1)
    check_integer("max_iter", max_iter, minimum=1)
    if width is not None:
        check_number("width", width, above=0.0)
    fixed = constants(params), constants(data), constants(preconditioner)
    matrix = matrix_of(objective, fixed[0], fixed[1], curvature, fixed[2])
    nodes, weights = _quadrature(matrix, sampler(rng, matrix.like), num_samples, max_iter)
    xp = matrix.backend.namespace
    seen = weights > 0
    lowest = xp.min(xp.where(seen, nodes, xp.max(nodes)))
    highest = xp.max(xp.where(seen, nodes, xp.min(nodes)))
    spread = highest - lowest
    # A single eigenvalue has no range to go by.
    spread = xp.where(spread > 0, spread, xp.maximum(xp.abs(highest), xp.ones_like(highest)))
    breadth = spread / 100.0 if width is None else xp.ones_like(spread) * width
    if isinstance(grid, int):
        check_number("grid", grid, minimum=2)
        share = xp.astype(xp.arange(grid, device=matrix.backend.device_of(nodes)), nodes.dtype)
        begin, end = lowest - 5.0 * breadth, highest + 5.0 * breadth
        grid = begin + (end - begin) * (share / float(grid - 1))
    offsets = (grid[:, None] - nodes[None, :]) / breadth
    bells = xp.exp(-0.5 * offsets * offsets) / (breadth * sqrt(2.0 * pi))
    return Density(grid, xp.sum(bells * weights, axis=1))


def _quadrature(matrix: Matrix, draw: Any, samples: int, max_iter: int) -> tuple[Array, Array]:
    """Return nodes and weights of the mean over the directions; the weights sum to 1."""
    xp, nodes, weights = matrix.backend.namespace, [], []
    for _ in range(samples):
        found = krylov(matrix, random_unit(matrix, draw), max_iter, tol=None)
        nodes.append(found.values)
        weights.append(found.vectors[0, :] ** 2 / float(samples))
    return xp.concat(nodes), xp.concat(weights)
