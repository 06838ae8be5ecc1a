"""Unbiased estimates from random directions: gradients, traces, diagonals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import Backend
from ..random import rademacher, sampler
from ..trees import axpy, dot, scale
from ..trees import map as map_leaves
from .arguments import as_primals
from .forward import jvp

__all__ = ["Estimate", "forward_gradient", "hutchinson_diagonal", "hutchinson_trace"]


class Estimate(NamedTuple):
    """A mean over random draws, and its standard error (NaN for a single draw)."""

    value: Any
    standard_error: Any


def forward_gradient(
    f: Callable[[Any], Any],
    x: Any,
    *,
    rng: Any = None,
    noise: Any = None,
    num_samples: int = 1,
    law: str = "rademacher",
) -> Any:
    """Return an unbiased estimate of a gradient by forward mode alone.

    The mean of <gradient, z> z over random directions z with E z z^T = 1.

    Parameters
    ----------
    f
        Function from a container of arrays to an array of shape ().
    x
        Where to differentiate.
    rng
        Integer seed or generator, as `fenchel.random.sampler` takes it.
    noise
        The directions themselves: a container like `x` with a leading axis of draws.
    num_samples
        How many directions to draw.
    law
        "rademacher" (total variance (P - 1) ||gradient||^2 for P entries) or "normal" (P + 1).

    Returns
    -------
    container
        Shaped like `x`.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating.
    ValueError
        If neither or both of `rng` and `noise` are given, or the law is unknown.

    Notes
    -----
    *Derivatives*: those of the mean; the directions are constants.

    References
    ----------
    A. Baydin, B. Pearlmutter, D. Syme, F. Wood, P. Torr, "Gradients without backpropagation",
    arXiv 2202.08587.

    Examples
    --------
    >>> import numpy as np
    >>> signs = np.asarray([[1.0, 1.0], [1.0, -1.0]])
    >>> forward_gradient(lambda x: np.sum(x**2), np.asarray([1.0, 2.0]), noise=signs).tolist()
    [2.0, 4.0]
    """
    backend, (x,) = as_primals((x,))
    directions = _directions(backend, x, rng, noise, num_samples, law)
    total = None
    for z in directions:
        term = scale(jvp(f, (x,), (z,))[1], z)
        total = term if total is None else axpy(1.0, total, term)
    return scale(1.0 / len(directions), total)


def hutchinson_trace(
    matvec: Callable[[Any], Any],
    x: Any,
    *,
    rng: Any = None,
    noise: Any = None,
    num_samples: int = 10,
    law: str = "rademacher",
) -> Estimate:
    """Return an unbiased estimate of the trace of a linear map, the mean of <z, A z>.

    Parameters
    ----------
    matvec
        Linear function from a container like `x` to one like it.
    x
        Container that gives shapes, dtype and library.
    rng, noise, num_samples, law
        As for `forward_gradient`.

    Returns
    -------
    Estimate
        `value` and `standard_error`, of shape (). The variance of one draw is
        2 (||A||^2 - sum_i A_ii^2) for signs and 2 ||A||^2 for normal draws and symmetric A.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating.
    ValueError
        If neither or both of `rng` and `noise` are given, or the law is unknown.

    Notes
    -----
    *Derivatives*: those of the mean.

    References
    ----------
    M. Hutchinson, "A stochastic estimator of the trace of the influence matrix", Communications in
    Statistics 19 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> d = np.asarray([1.0, 2.0, 4.0])
    >>> estimate = hutchinson_trace(lambda v: d * v, d, rng=0)  # exact for a diagonal map
    >>> float(estimate.value), float(estimate.standard_error)
    (7.0, 0.0)
    """
    backend, (x,) = as_primals((x,))
    directions = _directions(backend, x, rng, noise, num_samples, law)
    return _estimate(backend, [dot(z, matvec(z)) for z in directions])


def hutchinson_diagonal(
    matvec: Callable[[Any], Any],
    x: Any,
    *,
    rng: Any = None,
    noise: Any = None,
    num_samples: int = 10,
    law: str = "rademacher",
) -> Estimate:
    """Return an unbiased estimate of the diagonal of a linear map, the mean of z * (A z).

    Parameters
    ----------
    matvec, x, rng, noise, num_samples, law
        As for `hutchinson_trace`.

    Returns
    -------
    Estimate
        `value` and `standard_error`, containers like `x`.

    Raises
    ------
    TypeError
        If a leaf of `x` is not floating.
    ValueError
        If neither or both of `rng` and `noise` are given, or the law is unknown.

    Notes
    -----
    *Derivatives*: those of the mean.

    References
    ----------
    C. Bekas, E. Kokiopoulou, Y. Saad, "An estimator for the diagonal of a matrix", Applied
    Numerical Mathematics 57 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> d = np.asarray([1.0, 2.0, 4.0])
    >>> hutchinson_diagonal(lambda v: d * v, d, rng=0).value.tolist()
    [1.0, 2.0, 4.0]
    """
    backend, (x,) = as_primals((x,))
    directions = _directions(backend, x, rng, noise, num_samples, law)
    products = [map_leaves(lambda a, b: a * b, matvec(z), z) for z in directions]
    rows = [backend.tree_flatten(product)[0] for product in products]
    structure = backend.tree_flatten(products[0])[1]
    parts = [_estimate(backend, list(column)) for column in zip(*rows, strict=True)]
    return Estimate(
        backend.tree_unflatten(structure, [part.value for part in parts]),
        backend.tree_unflatten(structure, [part.standard_error for part in parts]),
    )


def _directions(
    backend: Backend, x: Any, rng: Any, noise: Any, num_samples: int, law: str
) -> list[Any]:
    if (rng is None) == (noise is None):
        raise ValueError("exactly one of `rng` and `noise` must be given")
    if law not in ("rademacher", "normal"):
        raise ValueError(f"`law` must be one of rademacher, normal; got {law!r}")
    if noise is None:
        noise = _drawn(backend, x, rng, num_samples, law)
    count = backend.tree_flatten(noise)[0][0].shape[0]
    return [map_leaves(lambda leaf, i=i: leaf[i, ...], noise) for i in range(count)]


def _drawn(backend: Backend, x: Any, rng: Any, num_samples: int, law: str) -> Any:
    """Return a container like `x` with a leading axis of draws."""
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1; got num_samples={num_samples}")
    leaves, structure = backend.tree_flatten(x)
    draw = sampler(rng, leaves[0])
    xp = backend.namespace
    drawn = []
    for leaf in leaves:
        shape = (num_samples, *leaf.shape)
        z = draw.normal(shape) if law == "normal" else rademacher(draw, shape, like=leaf)
        drawn.append(z if z.dtype == leaf.dtype else xp.astype(z, leaf.dtype))
    return backend.tree_unflatten(structure, drawn)


def _estimate(backend: Backend, values: list[Any]) -> Estimate:
    xp, count = backend.namespace, len(values)
    stacked = xp.stack(values)
    mean = xp.mean(stacked, axis=0)
    if count == 1:
        return Estimate(mean, xp.full_like(mean, float("nan")))
    spread = xp.sum((stacked - mean) ** 2, axis=0) / (count * (count - 1))
    # The square root has no derivative at 0, where all draws agree.
    some = spread > 0
    root = xp.sqrt(xp.where(some, spread, xp.ones_like(spread)))
    return Estimate(mean, xp.where(some, root, xp.zeros_like(spread)))
