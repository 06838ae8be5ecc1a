"""Random draws with one face over every library's generator or key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import array_api_compat

from ..arrays import check_dtype, check_integer, check_number, narrow, widen
from ..backend import backend_of
from ..parameters import check_array
from .stream import RandomStream

__all__ = [
    "Sampler",
    "bernoulli",
    "exponential",
    "gumbel",
    "integers",
    "laplace",
    "logistic",
    "normal",
    "rademacher",
    "sampler",
    "uniform",
]

Array = Any
Shape = tuple[int, ...]


class Sampler:
    """Draws like an array, one after the other; see `sampler`."""

    def __init__(self, rng: Any, like: Array) -> None:
        backend = backend_of(like)
        like = backend.stop_gradient(like)
        self.backend = backend_of(like)  # of the plain array, where `like` was traced by the tape
        self.like = like
        self.info = check_dtype("like", like)
        self._stream = rng if isinstance(rng, RandomStream) else None
        self._inner: Any = None if self._stream is not None else self.backend.sampler(rng)

    def normal(self, shape: Shape) -> Array:
        """Return standard normal draws."""
        return self._draw("normal", shape)

    def uniform(self, shape: Shape) -> Array:
        """Return uniform draws in [0, 1)."""
        return self._draw("uniform", shape)

    def integers(self, low: int, high: int, shape: Shape) -> Array:
        """Return integers in [low, high)."""
        xp = self.backend.namespace
        if self._stream is None:
            return self._placed(self._inner.integers(low, high, shape))
        like = widen(xp, self.like, self.info)  # half types have too few bits, and overflow
        drawn = self._stream.uniform(shape, like=like)
        self._stream = replace(self._stream, slot=self._stream.slot + 1)
        scaled = xp.floor(drawn * float(high - low))
        # The product may round up to the bound itself.
        whole = xp.astype(scaled, self._integer_dtype())
        return xp.where(whole >= high - low, whole - 1, whole) + low

    def _integer_dtype(self) -> Any:
        xp = self.backend.namespace
        return xp.arange(1, device=self.backend.device_of(self.like)).dtype

    def _draw(self, kind: str, shape: Shape) -> Array:
        xp, info = self.backend.namespace, self.info
        if self._stream is not None:
            drawn = getattr(self._stream, kind)(shape, like=self.like)
            self._stream = replace(self._stream, slot=self._stream.slot + 1)
            return drawn
        dtype = xp.float32 if info.half else self.like.dtype
        if not self.backend.native_autodiff:  # NumPy draws, and knows the dtype by its name
            dtype = "float32" if info.half else info.name
        drawn = getattr(self._inner, kind)(tuple(shape), dtype)
        return self._placed(narrow(xp, drawn, info, self.like.dtype))

    def _placed(self, drawn: Array) -> Array:
        device = self.backend.device_of(self.like)
        if device is None or self.backend.device_of(drawn) == device:
            return drawn
        return array_api_compat.to_device(drawn, device)


def sampler(rng: Any, like: Array) -> Sampler:
    """Return an object that draws arrays like another one, fresh ones at every call.

    Parameters
    ----------
    rng
        Integer seed, `RandomStream`, or the library's own: a `numpy.random.Generator`, a
        `torch.Generator` (both advance), a JAX key (split at each draw), a sampler itself.
    like
        Array whose library, floating dtype and device the draws have.

    Returns
    -------
    Sampler
        With `normal(shape)`, `uniform(shape)` and `integers(low, high, shape)`.

    Raises
    ------
    TypeError
        If `rng` is none of these, or `like` no floating array.

    Examples
    --------
    >>> import numpy as np
    >>> draw = sampler(0, np.zeros(1))
    >>> draw.normal((2,)).shape, draw.uniform((3, 2)).shape
    ((2,), (3, 2))
    """
    return rng if isinstance(rng, Sampler) else Sampler(rng, like)


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
    xp = backend_of(like).namespace
    return -xp.log1p(-sampler(rng, like).uniform(shape))


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
    xp = backend_of(like).namespace
    u = _inside(xp, sampler(rng, like).uniform(shape))
    return -xp.log(-xp.log(u))


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
    xp = backend_of(like).namespace
    u = _inside(xp, sampler(rng, like).uniform(shape))
    return xp.log(u) - xp.log1p(-u)


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
    xp = backend_of(like).namespace
    u = _inside(xp, sampler(rng, like).uniform(shape))
    left = u < 0.5
    tail = xp.log(2.0 * xp.where(left, u, 1.0 - u))
    return xp.where(left, tail, -tail)


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
    return sampler(rng, like).uniform(shape) < probability


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
