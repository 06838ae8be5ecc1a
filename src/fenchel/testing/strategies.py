"""Hypothesis strategies for arrays of any library.

Each function that takes `xp` (a namespace, an adapter or a name; NumPy by default) draws a NumPy
array first and carries it over, so that a failing example reads the same on every library.
Hypothesis is imported by the first call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .check import resolve, to_library

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["arrays", "budgets", "masks", "scores", "shapes", "simplex_points", "temperatures"]


def shapes(
    *, max_batch: int = 3, max_entries: int = 8, empty_batch: bool = True
) -> SearchStrategy[tuple[int, ...]]:
    """Shapes (..., n): up to two batch axes, possibly empty, and n >= 1 entries.

    Parameters
    ----------
    max_batch
        Greatest length of a batch axis.
    max_entries
        Greatest n.
    empty_batch
        Whether a batch axis may have length 0.

    Examples
    --------
    >>> from hypothesis import find
    >>> len(find(shapes(), lambda _: True)) in (1, 2, 3)
    True
    """
    from hypothesis import strategies as st

    batch = st.lists(st.integers(0 if empty_batch else 1, max_batch), max_size=2)
    return st.tuples(batch, st.integers(1, max_entries)).map(lambda p: (*p[0], p[1]))


def arrays(
    xp: Any = "numpy",
    *,
    shape: Any = None,
    low: float = -10.0,
    high: float = 10.0,
    dtype: str = "float64",
) -> SearchStrategy[Any]:
    """Arrays of finite entries in [low, high], of moderate precision.

    Entries are multiples of 2^-10: their differences are exact, and either ties or not.

    Parameters
    ----------
    xp
        Library.
    shape
        A shape, a strategy of shapes, or None for `shapes()`.
    low, high
        Bounds of the entries.
    dtype
        Name of the floating type.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(arrays(shape=(2, 3)), lambda _: True).shape
    (2, 3)
    """
    from hypothesis import strategies as st

    backend, grid = resolve(xp), 1024
    wanted = st.just(shape) if isinstance(shape, tuple) else (shapes() if shape is None else shape)
    entry = st.integers(math.ceil(low * grid), math.floor(high * grid)).map(lambda i: i / grid)
    return wanted.flatmap(lambda s: _filled(s, entry)).map(lambda x: to_library(backend, x, dtype))


def _filled(shape: tuple[int, ...], entry: Any) -> SearchStrategy[Any]:
    import numpy as np
    from hypothesis import strategies as st

    size = math.prod(shape)
    rows = st.lists(entry, min_size=size, max_size=size)
    return rows.map(lambda values: np.asarray(values, dtype=np.float64).reshape(shape))


def scores(
    xp: Any = "numpy",
    *,
    shape: Any = None,
    ties: bool = True,
    offset: float = 0.0,
    masked: bool = False,
    dtype: str = "float64",
) -> SearchStrategy[Any]:
    """Scores as operators meet them: with ties, large common offsets, entries at -inf.

    Parameters
    ----------
    xp, shape, dtype
        As for `arrays`.
    ties
        Whether to draw from few values, so that many are equal.
    offset
        Greatest size of a number added to all.
    masked
        Whether entries may be -inf; the first of each row is not.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(scores(shape=(5,), offset=1e6), lambda _: True).shape
    (5,)
    """
    from hypothesis import strategies as st

    backend = resolve(xp)
    smooth = arrays(shape=shape, low=-8.0, high=8.0)
    coarse = arrays(shape=shape, low=-8.0, high=8.0).map(lambda x: x.round())
    drawn = st.one_of(smooth, coarse) if ties else smooth
    if offset:
        shift = st.integers(-int(offset), int(offset))
        drawn = st.tuples(drawn, shift).map(lambda pair: pair[0] + pair[1])
    if masked:
        drawn = drawn.flatmap(lambda x: st.sets(st.integers(1, 50)).map(lambda s: _hide(x, s)))
    return drawn.map(lambda x: to_library(backend, x, dtype))


def _hide(x: Any, places: set[int]) -> Any:
    import numpy as np

    flat = np.arange(x.size).reshape(x.shape)
    hidden = np.isin(flat, list(places))
    hidden[..., :1] = False
    return np.where(hidden, -np.inf, x)


def masks(xp: Any = "numpy", *, shape: tuple[int, ...]) -> SearchStrategy[Any]:
    """Boolean masks of a shape, at least one entry of each row taking part.

    Examples
    --------
    >>> from hypothesis import find
    >>> bool(find(masks(shape=(2, 3)), lambda _: True).any(axis=-1).all())
    True
    """
    import numpy as np
    from hypothesis import strategies as st

    backend, size = resolve(xp), math.prod(shape)
    values = st.lists(st.booleans(), min_size=size, max_size=size)

    def build(drawn: list[bool]) -> Any:
        mask = np.asarray(drawn, dtype=bool).reshape(shape)
        mask[..., 0] |= ~mask.any(axis=-1)
        return backend.from_host(mask)

    return values.map(build)


def budgets(n: int, *, real: bool = True) -> SearchStrategy[float]:
    """Budgets k in [0, n]: integers, and real numbers if wanted.

    Examples
    --------
    >>> from hypothesis import find
    >>> 0 <= find(budgets(5), lambda _: True) <= 5
    True
    """
    from hypothesis import strategies as st

    whole = st.integers(0, n).map(float)
    return st.one_of(whole, st.floats(0.0, n, width=32)) if real else whole


def temperatures(*, low: float = 0.01, high: float = 100.0) -> SearchStrategy[float]:
    """Temperatures over several orders of magnitude.

    Examples
    --------
    >>> from hypothesis import find
    >>> 0.01 <= find(temperatures(), lambda _: True) <= 100
    True
    """
    from hypothesis import strategies as st

    exponents = st.floats(math.log(low), math.log(high))
    return exponents.map(lambda e: min(max(math.exp(e), low), high))


def simplex_points(xp: Any = "numpy", *, shape: tuple[int, ...]) -> SearchStrategy[Any]:
    """Rows of non-negative numbers that sum to 1, zeros among them.

    Examples
    --------
    >>> from hypothesis import find
    >>> abs(float(find(simplex_points(shape=(4,)), lambda _: True).sum()) - 1) < 1e-12
    True
    """
    import numpy as np

    backend = resolve(xp)

    def build(x: Any) -> Any:
        weights = np.maximum(x, 0.0)
        weights[..., 0] += weights.sum(axis=-1) == 0
        return backend.from_host(weights / weights.sum(axis=-1, keepdims=True))

    return arrays(shape=shape, low=-4.0, high=8.0).map(build)
