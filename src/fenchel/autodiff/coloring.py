"""Colours of a sparsity pattern: entries of one colour never meet, so one sweep has them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from ..arrays import check_choice
from ..backend import backend_of
from ..trees import is_array

__all__ = ["Coloring"]

MODES = ("column", "row", "star")


@dataclass(frozen=True, init=False)
class Coloring:
    """A sparsity pattern with its columns, or rows, grouped so that a group shares a sweep.

    Parameters
    ----------
    pattern
        Where the matrix may be non-zero: an array of shape (m, n), or a sparse matrix of SciPy.
    mode
        "column": columns of one colour have no row in common, one forward sweep a colour. "row":
        the same of rows, one reverse sweep a colour. "star": a symmetric pattern, such as that of a
        Hessian, in which every path of four vertices has at least three colours; both halves are
        found from one of them, which takes fewer colours.

    Attributes
    ----------
    shape
        (m, n).
    rows, columns
        Places of the non-zero entries, row by row: tuples of integers.
    colors
        The colour of each column, or row.
    num_colors
        How many colours there are: how many sweeps `sparse_jacobian` makes.

    Raises
    ------
    TypeError
        If `pattern` is no matrix.
    ValueError
        If the mode is unknown, or "star" is asked of a pattern that is not symmetric.

    Notes
    -----
    Greedy, in two orders (as they stand, and most bound or largest first), of which the one with
    fewer colours is kept. Hashable: static under `jit`. *Derivatives*: none.

    References
    ----------
    A. Gebremedhin, F. Manne, A. Pothen, "What color is your Jacobian? Graph coloring for computing
    derivatives", SIAM Review 47 (2005).

    Examples
    --------
    >>> import numpy as np
    >>> tridiagonal = np.abs(np.subtract.outer(np.arange(12), np.arange(12))) <= 1
    >>> Coloring(tridiagonal).num_colors
    3
    >>> arrow = np.eye(12, dtype=bool)
    >>> arrow[0], arrow[:, 0] = True, True
    >>> Coloring(arrow).num_colors, Coloring(arrow, "star").num_colors
    (12, 2)
    """

    shape: tuple[int, int]
    rows: tuple[int, ...] = field(repr=False)
    columns: tuple[int, ...] = field(repr=False)
    mode: str
    colors: tuple[int, ...] = field(repr=False)

    def __init__(self, pattern: Any, mode: str = "column") -> None:
        check_choice("mode", mode, MODES)
        shape, entries = _entries(pattern)
        if mode == "star" and (
            shape[0] != shape[1] or set(entries) != {(j, i) for i, j in entries}
        ):
            raise ValueError(
                f"`pattern` must be symmetric for mode='star'; got one of shape {shape} that is not"
            )
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "rows", tuple(i for i, _ in entries))
        object.__setattr__(self, "columns", tuple(j for _, j in entries))
        object.__setattr__(self, "mode", mode)
        object.__setattr__(self, "colors", _colored(shape, entries, mode))

    @property
    def num_colors(self) -> int:
        """How many colours there are."""
        return _count(self.colors)

    @cached_property
    def places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sweep, and entry of its result, in which each non-zero entry stands alone."""
        if self.mode == "column":
            return tuple(self.colors[j] for j in self.columns), self.rows
        if self.mode == "row":
            return tuple(self.colors[i] for i in self.rows), self.columns
        seen: dict[tuple[int, int], int] = {}  # how many entries of a row have one colour
        for i, j in zip(self.rows, self.columns, strict=True):
            seen[i, self.colors[j]] = seen.get((i, self.colors[j]), 0) + 1
        pairs = [
            (self.colors[j], i) if seen[i, self.colors[j]] == 1 else (self.colors[i], j)
            for i, j in zip(self.rows, self.columns, strict=True)
        ]
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


def _entries(pattern: Any) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Return the shape of a pattern, and its entries row by row."""
    if hasattr(pattern, "tocoo"):  # a sparse matrix of SciPy
        found = pattern.tocoo()
        rows, columns = found.row[found.data != 0], found.col[found.data != 0]
        shape = found.shape
    else:
        matrix = np.asarray(backend_of(pattern).to_host(pattern) if is_array(pattern) else pattern)
        if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
            raise TypeError(
                f"`pattern` must be a matrix of booleans or numbers; got {matrix.dtype} "
                f"of shape {matrix.shape}"
            )
        rows, columns = np.nonzero(matrix)
        shape = matrix.shape
    entries = set(zip(rows.tolist(), columns.tolist(), strict=True))
    return (int(shape[0]), int(shape[1])), sorted(entries)


def _colored(shape: tuple[int, int], entries: list[tuple[int, int]], mode: str) -> tuple[int, ...]:
    if mode == "star":
        beside: list[set[int]] = [set() for _ in range(shape[0])]
        for i, j in entries:
            if i != j:
                beside[i].add(j)
        by_degree = sorted(range(shape[0]), key=lambda v: -len(beside[v]))
        orders = (range(shape[0]), by_degree)
        return min((_stars(order, beside) for order in orders), key=_count)
    pairs = entries if mode == "column" else [(j, i) for i, j in entries]
    meeting = _meeting(shape[1] if mode == "column" else shape[0], pairs)
    return min((_in_turn(meeting), _most_bound_first(meeting)), key=_count)


def _count(colors: tuple[int, ...]) -> int:
    return max(colors, default=-1) + 1


def _meeting(size: int, pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Return for each line those that it has a crossing line in common with."""
    crossed: dict[int, list[int]] = {}
    for across, line in pairs:
        crossed.setdefault(across, []).append(line)
    meeting: list[set[int]] = [set() for _ in range(size)]
    for lines in crossed.values():
        for line in lines:
            meeting[line].update(lines)
    for line, found in enumerate(meeting):
        found.discard(line)
    return meeting


def _in_turn(beside: list[set[int]]) -> tuple[int, ...]:
    colors = [-1] * len(beside)
    for v, found in enumerate(beside):
        colors[v] = _first_free({colors[u] for u in found})
    return tuple(colors)


def _most_bound_first(beside: list[set[int]]) -> tuple[int, ...]:
    """Colour next the vertex whose neighbours have most colours (Brélaz, 1979)."""
    colors, taken = [-1] * len(beside), [set[int]() for _ in beside]
    queue = [(0, -len(found), v) for v, found in enumerate(beside)]
    heapify(queue)
    while queue:
        bound, _, v = heappop(queue)
        if colors[v] >= 0 or -bound != len(taken[v]):
            continue  # an older entry of this vertex
        colors[v] = _first_free(taken[v])
        for u in beside[v]:
            if colors[u] < 0 and colors[v] not in taken[u]:
                taken[u].add(colors[v])
                heappush(queue, (-len(taken[u]), -len(beside[u]), u))
    return tuple(colors)


def _stars(order: Iterable[int], beside: list[set[int]]) -> tuple[int, ...]:
    colors = [-1] * len(beside)
    for v in order:
        colors[v] = _first_free(_forbidden_in_stars(v, beside, colors))
    return tuple(colors)


def _first_free(taken: set[int]) -> int:
    color = 0
    while color in taken:
        color += 1
    return color


def _forbidden_in_stars(v: int, beside: list[set[int]], colors: list[int]) -> set[int]:
    """Colours that would give `v` that of a neighbour, or a path of four vertices two colours."""
    taken = {colors[u] for u in beside[v]}
    for u in beside[v]:
        others = [x for x in beside[u] if x != v and colors[x] >= 0]
        if colors[u] < 0:  # the neighbours of what is coloured later stay different
            taken.update(colors[x] for x in others)
            continue
        for x in others:
            if any(colors[y] == colors[u] for y in beside[x] if y != u):
                taken.add(colors[x])
    return taken
