r"""The prediction of an augmented block as a polynomial in the eigenvalues.

With unit eigenvalues and s_t = lambda^t, coordinate i of

    pred = \sum_t [a1 <s_t, s_T> + a2 <s_t, s_{T-1}> + a3 <s_{t-1}, s_T> + a4 <s_{t-1}, s_{T-1}>]
           (b1 s_t + b2 s_{t-1})

is a sum of monomials lambda_i^x lambda_j^y with coefficients linear in the products a_k b_l.
Monomials that differ are orthogonal for uniform angles, so that the expected square is the sum of
the squared coefficients: once those in lambda_i alone (j = i, or y = 0), d - 1 times the others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["residual_map"]


@lru_cache(maxsize=256)
def residual_map(length: int, dim: int, first: str) -> tuple[Any, Any]:
    """Return L (r, 8) and c (r,) with expected square d |L u - c|^2, u = (a_k b_l) row by row."""
    import numpy as np

    own: dict[int, Any] = {length + 1: np.zeros(8)}
    mixed: dict[tuple[int, int], Any] = {}
    for x, y, place in _terms(length, first):
        unit = np.zeros(8)
        unit[place] = 1.0
        own[x + y] = own.get(x + y, 0.0) + unit
        if y == 0:
            own[x] = own.get(x, 0.0) + (dim - 1) * unit
        else:
            mixed[x, y] = mixed.get((x, y), 0.0) + unit
    rows = [*own.values(), *(np.sqrt(dim - 1.0) * row for row in mixed.values())]
    target = np.zeros(len(rows))
    target[list(own).index(length + 1)] = 1.0
    return np.stack(rows), target


def _terms(length: int, first: str) -> list[tuple[int, int, int]]:
    """Return (x, y, 2 k + l) of every term a_k b_l lambda_i^x lambda_j^y, zero ones left out."""
    found = []
    for t in range(1, length + 1):
        before = t > 1 or first == "previous"  # whether s_{t-1} is there
        scores = [(length - t, 0), (length - 1 - t, 1)]
        scores += [(length - t + 1, 2), (length - t, 3)] if before else []
        values = [(t, 0), (t - 1, 1)] if before else [(t, 0)]
        found += [(x, y, 2 * k + i) for y, k in scores for x, i in values]
    return found
