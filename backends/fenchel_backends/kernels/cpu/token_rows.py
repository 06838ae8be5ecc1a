"""Rows of tokens and of buffers: gathered, summed and multiplied in one pass over the memory.

Arrays are groups (G, rows, d); an index beyond the rows stands for none.
"""

from .jit import Rows, compiled

__all__ = ["gather_rows", "row_dots", "sum_rows"]


@compiled
def gather_rows(x: Rows, index: Rows, scale: Rows, out: Rows) -> None:
    """Write scale[s] * x[index[s]], or zeros."""
    for g in range(x.shape[0]):
        for s in range(index.shape[1]):
            row, factor = index[g, s], scale[g, s]
            if row < x.shape[1]:
                for c in range(x.shape[2]):
                    out[g, s, c] = factor * x[g, row, c]
            else:
                out[g, s] = 0.0


@compiled
def sum_rows(x: Rows, index: Rows, scale: Rows, out: Rows) -> None:
    """Write the sum over j of scale[r] * x[r], r = index[s, j]."""
    for g in range(x.shape[0]):
        for s in range(index.shape[1]):
            out[g, s] = 0.0
            for j in range(index.shape[2]):
                row = index[g, s, j]
                if row < x.shape[1]:
                    factor = scale[g, row]
                    for c in range(x.shape[2]):
                        out[g, s, c] += factor * x[g, row, c]


@compiled
def row_dots(x: Rows, y: Rows, index: Rows, out: Rows) -> None:
    """Write <x[s], y[index[s]]>, or 0."""
    for g in range(x.shape[0]):
        for s in range(index.shape[1]):
            row, total = index[g, s], 0.0
            if row < y.shape[1]:
                for c in range(x.shape[2]):
                    total += x[g, s, c] * y[g, row, c]
            out[g, s] = total
