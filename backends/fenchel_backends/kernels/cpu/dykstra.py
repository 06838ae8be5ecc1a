"""Isotonic regression by Dykstra's alternate projections (odd pairs, even pairs).

Each projection replaces a violating pair by its weighted mean. Convergence is slow over long
blocks: iterations and residual are reported. Blocks are joined where the multiplier of
a pair is active, not where two values happen to be close.
"""

import numpy as np

from .extrema import extrema
from .isotonic import singletons
from .jit import Rows, compiled, own

__all__ = ["dykstra"]


@compiled
def _project(v: Rows, weights: Rows, multipliers: Rows, offset: int) -> float:
    """One half cycle for an increasing fit; largest change of an entry.

    The correction of a pair is (m / w_i, -m / w_j), with one multiplier m >= 0.
    """
    change = 0.0
    for i in range(offset, v.size - 1, 2):
        u, w = weights[i], weights[i + 1]
        a, b = v[i] + multipliers[i] / u, v[i + 1] - multipliers[i] / w
        force = (a - b) * u * w / (u + w) if a > b else 0.0
        a, b = a - force / u, b + force / w
        change = max(change, abs(a - v[i]), abs(b - v[i + 1]))
        v[i], v[i + 1], multipliers[i] = a, b, force
    return change


@compiled
def _largest_violation(v: Rows) -> float:
    worst = 0.0
    for i in range(v.size - 1):
        worst = max(worst, v[i] - v[i + 1])
    return worst


@compiled
def _cycles(
    v: Rows, weights: Rows, multipliers: Rows, max_iter: float, tol: float
) -> tuple[int, float]:
    """Run full cycles; how many, and the larger of last change and violation."""
    residual, done = _largest_violation(v), 0
    if residual == 0.0:
        return 0, 0.0
    while done < max_iter:
        change = _project(v, weights, multipliers, 0)
        change = max(change, _project(v, weights, multipliers, 1))
        residual = max(change, _largest_violation(v))
        done += 1
        if residual < tol or change == 0.0:
            break
    return done, residual


@compiled
def _broken(y: Rows, weights: Rows) -> bool:
    low, high = extrema(y)
    least, most = extrema(weights)
    return bool(np.isnan(low + high) or np.isnan(least + most)) or most == np.inf


@compiled
def dykstra(
    y: Rows,
    weights: Rows,
    params: Rows,
    blocks: Rows,
    fit: Rows,
    iterations: Rows,
    residual: Rows,
) -> None:
    """Blocks, fit, cycles and residual of each row; params: max_iter, tol, increasing."""
    n = y.shape[1]
    v, heights, multipliers = np.empty(n), np.empty(n), np.empty(n)
    for r in range(y.shape[0]):
        if _broken(y[r], weights[r]):
            singletons(blocks[r])
            fit[r], iterations[r], residual[r] = np.nan, 0, np.nan
            continue
        sign = 1.0 if own(params, r, 2) != 0.0 else -1.0
        shift = np.float64(y[r, 0])
        _, heaviest = extrema(weights[r])
        floor = 1e-12 * heaviest if heaviest > 0.0 else 1.0
        for i in range(n):
            # an entry of no weight follows its neighbours
            v[i], heights[i], multipliers[i] = sign * (y[r, i] - shift), weights[r, i], 0.0
            heights[i] = max(heights[i], floor)
        cycles, left = _cycles(v, heights, multipliers, own(params, r, 0), own(params, r, 1))
        iterations[r], residual[r] = cycles, left
        for i in range(n):
            fit[r, i] = shift + sign * v[i]
            blocks[r, i] = blocks[r, i - 1] if i > 0 and multipliers[i - 1] > 0.0 else i
