"""Random draws of the usual laws, from any library's generator or key."""

from __future__ import annotations

from typing import Any

from ..arrays import check_integer, check_number
from ..backend import backend_of
from ..parameters import check_array
from .sources import sampler

__all__ = [
    "bernoulli",
    "exponential",
    "gumbel",
    "integers",
    "laplace",
    "logistic",
    "normal",
    "rademacher",
    "uniform",
]

Array = Any
Shape = tuple[int, ...]


def normal(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return standard normal draws.

    Parameters
    ----------
    rng
        As for `sampler`.
    shape
        Shape of the draws.
    like
        Array whose library, floating dtype and device the draws have.

    Returns
    -------
    array
        The draws.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> normal(0, (3,), like=np.zeros(1)).shape
    (3,)
    """
    return sampler(rng, like).normal(shape)


def uniform(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return uniform draws in [0, 1).

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.all(uniform(0, (3,), like=np.zeros(1)) < 1))
    True
    """
    return sampler(rng, like).uniform(shape)


def exponential(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return exponential draws of mean 1.

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.all(exponential(0, (3,), like=np.zeros(1)) >= 0))
    True
    """
    draw = sampler(rng, like)
    return draw.narrowed(-draw.backend.namespace.log1p(-draw.wide_uniform(shape)))


def gumbel(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return standard Gumbel draws, -log of exponential ones; their mean is Euler's constant.

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws, all finite.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.all(np.isfinite(gumbel(0, (3,), like=np.zeros(1)))))
    True
    """
    draw = sampler(rng, like)
    xp = draw.backend.namespace
    u = _inside(xp, draw.wide_uniform(shape))
    return draw.narrowed(-xp.log(-xp.log(u)))


def logistic(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return standard logistic draws.

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws, all finite.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.all(np.isfinite(logistic(0, (3,), like=np.zeros(1)))))
    True
    """
    draw = sampler(rng, like)
    xp = draw.backend.namespace
    u = _inside(xp, draw.wide_uniform(shape))
    return draw.narrowed(xp.log(u) - xp.log1p(-u))


def laplace(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return standard Laplace draws, of density ``exp(-|x|) / 2``.

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws, all finite.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.all(np.isfinite(laplace(0, (3,), like=np.zeros(1)))))
    True
    """
    draw = sampler(rng, like)
    xp = draw.backend.namespace
    u = _inside(xp, draw.wide_uniform(shape))
    left = u < 0.5
    tail = xp.log(2.0 * xp.where(left, u, 1.0 - u))
    return draw.narrowed(xp.where(left, tail, -tail))


def rademacher(rng: Any, shape: Shape, *, like: Array) -> Array:
    """Return signs, 1 or -1 with equal probability.

    Parameters
    ----------
    rng, shape, like
        As for `normal`.

    Returns
    -------
    array
        The draws.

    Raises
    ------
    TypeError
        If `rng` is not understood, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> set(rademacher(0, (99,), like=np.zeros(1)).tolist()) == {-1.0, 1.0}
    True
    """
    xp = backend_of(like).namespace
    u = sampler(rng, like).uniform(shape)
    return xp.where(u < 0.5, -xp.ones_like(u), xp.ones_like(u))


def bernoulli(rng: Any, probability: Any, shape: Shape, *, like: Array) -> Array:
    """Return booleans that are True with a given probability.

    Parameters
    ----------
    rng
        As for `sampler`.
    probability
        Number, or array that broadcasts to `shape`.
    shape, like
        As for `normal`.

    Returns
    -------
    array
        Booleans.

    Raises
    ------
    TypeError
        If `rng` is not understood, `probability` neither number nor array, or `like` no floating
        array.
    ValueError
        If a number is not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> bernoulli(0, 1.0, (3,), like=np.zeros(1)).tolist()
    [True, True, True]
    """
    if hasattr(probability, "dtype"):
        check_array("probability", probability, backend_of(like))
    else:
        check_number("probability", probability, minimum=0.0, maximum=1.0)
    return sampler(rng, like).wide_uniform(shape) < probability


def integers(rng: Any, low: int, high: int, shape: Shape, *, like: Array) -> Array:
    """Return integers in [low, high), each with the same probability.

    Parameters
    ----------
    rng
        As for `sampler`.
    low, high
        Python integers, low < high.
    shape, like
        As for `normal`.

    Returns
    -------
    array
        Integers of the library's default dtype.

    Raises
    ------
    TypeError
        If `rng` is not understood, a bound is no integer, or `like` no floating array.
    ValueError
        If the range is empty.

    Notes
    -----
    From a `RandomStream` they are multiples of the range by uniform numbers, which have 24 random
    bits, or 53 where `like` is float64: of a wider range not every integer comes.

    Examples
    --------
    >>> import numpy as np
    >>> integers(0, 5, 6, (3,), like=np.zeros(1)).tolist()
    [5, 5, 5]
    """
    low, high = (
        check_integer(name, value, minimum=-(2**63), maximum=2**63 - 1)
        for name, value in (("low", low), ("high", high))
    )
    if not low < high:
        raise ValueError(f"`low` must be below `high`; got low={low} and high={high}")
    return sampler(rng, like).integers(low, high, shape)


def _inside(xp: Any, u: Array) -> Array:
    """Return uniform draws moved off 0, where logarithms are infinite."""
    tiny = 2.0**-26 if u.dtype != xp.float64 else 2.0**-55
    return u + xp.where(u == 0, xp.full_like(u, tiny), xp.zeros_like(u))
