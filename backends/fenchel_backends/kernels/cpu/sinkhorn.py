"""Column potentials of Sinkhorn's iteration: sweeps in the log domain, then by multiplication.

A sweep in the log domain takes an exponential an entry and side. After one, K = exp(z + u + v) has
rows of the right sums, and further sweeps are products with K:

    beta = b / K' alpha,    alpha = a / K beta,

one pass over K each, until a factor leaves the range in which entries of K that underflowed do not
matter. The potentials then take the factors up, and a sweep in the log domain follows.
"""

import numpy as np

from .elementary import LOWEST64, exp64
from .jit import Rows, compiled, own, reducing

__all__ = ["sinkhorn_columns"]

_RANGE = 1e100


@compiled
def _column_potentials(z: Rows, u: Rows, log_b: Rows, top: Rows, v: Rows) -> None:
    """Write log b - log sum_i exp(z + u), 0 for a column of only -inf; `top` is its maximum."""
    n, m = z.shape
    top[:] = -np.inf
    for i in range(n):
        shift = u[i]
        for j in range(m):
            height = z[i, j] + shift
            top[j] = height if height > top[j] else top[j]
    v[:] = 0.0
    for i in range(n):
        shift = u[i]
        for j in range(m):
            centre = top[j] if top[j] > -np.inf else 0.0
            v[j] += exp64(max((z[i, j] + shift) - centre, LOWEST64))
    for j in range(m):
        v[j] = log_b[j] - (np.log(v[j]) + top[j]) if top[j] > -np.inf else 0.0


@reducing
def _centred_sum(z: Rows, v: Rows, top: float) -> float:
    total = 0.0
    for j in range(z.size):
        total += exp64(max((z[j] + v[j]) - top, LOWEST64))
    return total


@compiled
def _row_potentials(z: Rows, v: Rows, log_a: Rows, u: Rows) -> None:
    """Write log a - log sum_j exp(z + v), 0 for a row of only -inf."""
    for i in range(u.size):
        top = -np.inf
        for j in range(v.size):
            height = z[i, j] + v[j]
            top = height if height > top else top
        u[i] = log_a[i] - (np.log(_centred_sum(z[i], v, top)) + top) if top > -np.inf else 0.0


@compiled
def _fill_plan(z: Rows, u: Rows, v: Rows, plan: Rows, sums: Rows) -> None:
    """Write exp(z + u + v) and its column sums."""
    sums[:] = 0.0
    for i in range(u.size):
        for j in range(v.size):
            height = (z[i, j] + u[i]) + v[j]
            part = exp64(max(height, LOWEST64)) if height > LOWEST64 else 0.0
            plan[i, j] = part
            sums[j] += part


@compiled
def _scale_columns(
    b: Rows, sums: Rows, top: Rows, tol: float, beta: Rows, new: Rows
) -> tuple[bool, bool]:
    """Write b / sums; return whether all are in range, and whether one moved beyond `tol`."""
    wild, moving = 0, 0
    most, least = np.exp(tol), np.exp(-tol)
    for j in range(b.size):
        inside = top[j] > -np.inf
        factor = b[j] / sums[j] if inside else 1.0
        new[j] = factor
        wild += not ((factor < _RANGE) & (factor * _RANGE > 1.0))
        ratio = factor / beta[j]
        moving += (ratio > most) | (ratio < least)
    return wild == 0, moving > 0


@reducing
def _scale_rows(a: Rows, plan: Rows, beta: Rows, alpha: Rows, sums: Rows) -> bool:
    """Write a / (plan beta), and the column sums of alpha plan; False if one is out of range.

    Row and sums in one pass: a row of the plan is still in the cache when its factor is known.
    """
    sums[:] = 0.0
    for i in range(a.size):
        total = 0.0
        for j in range(beta.size):
            total += plan[i, j] * beta[j]
        factor = a[i] / total if a[i] > 0.0 else 1.0
        if not ((factor < _RANGE) & (factor * _RANGE > 1.0)):
            return False
        alpha[i] = factor
        for j in range(beta.size):
            sums[j] += plan[i, j] * factor
    return True


@compiled
def _moved(v: Rows, before: Rows, tol: float) -> bool:
    count = 0
    for j in range(v.size):
        count += abs(v[j] - before[j]) > tol
    return count > 0


@compiled
def _add_logs(potentials: Rows, factors: Rows) -> None:
    for i in range(factors.size):
        potentials[i] += np.log(factors[i])


@compiled
def _multiply(
    a: Rows, b: Rows, tol: float, left: int, plan: Rows, rows: Rows, columns: Rows
) -> tuple[int, bool]:
    """Sweep by multiplication at most `left` times; return how often, and whether it is done.

    `rows` holds the factors of the rows; `columns` holds sums, maxima, factors, scratch.
    """
    alpha, sums, top, beta, new = rows[2], columns[1], columns[2], columns[3], columns[4]
    alpha[:] = 1.0
    beta[:] = 1.0
    for count in range(left):
        fits, moving = _scale_columns(b, sums, top, tol, beta, new)
        if not fits:
            return count, False
        beta[:] = new
        if not moving:
            return count + 1, True
        if count + 1 < left and not _scale_rows(a, plan, beta, alpha, sums):
            alpha[:] = 0.0  # rows follow from the columns
            return count + 1, False
    return left, True


@compiled
def _potentials(
    z: Rows, log_a: Rows, log_b: Rows, tol: float, limit: int, plan: Rows, rows: Rows, columns: Rows
) -> None:
    """Iterate on the potentials rows[0] and columns[0], in place."""
    u, a, v, sums, top, before = rows[0], rows[1], columns[0], columns[1], columns[2], columns[3]
    b = columns[5]
    b[:] = np.exp(log_b)
    v[:] = 0.0
    count = 0
    while count < limit:
        before[:] = v
        _column_potentials(z, u, log_b, top, v)
        count += 1
        if count == limit or not _moved(v, before, tol):
            return
        _row_potentials(z, v, log_a, u)
        _fill_plan(z, u, v, plan, sums)
        for i in range(u.size):  # 0 marks a row without entries
            a[i] = np.exp(log_a[i]) if u[i] != 0.0 or np.max(z[i]) > -np.inf else 0.0
        swept, done = _multiply(a, b, tol, limit - count, plan, rows, columns)
        count += swept
        _add_logs(v, columns[3])
        if done:
            return
        if rows[2, 0] > 0.0:
            _add_logs(u, rows[2])
        else:
            _row_potentials(z, v, log_a, u)


@compiled
def _known(x: Rows) -> bool:
    """Whether no entry is NaN or inf."""
    count = 0
    for value in x:
        count += not value < np.inf
    return count == 0


@compiled
def sinkhorn_columns(z: Rows, u: Rows, log_a: Rows, log_b: Rows, params: Rows, v: Rows) -> None:
    """Column potentials of each flat matrix; params: tol, max_iter."""
    n, m = log_a.shape[1], log_b.shape[1]
    plan, rows, columns = np.empty((n, m)), np.empty((3, n)), np.empty((6, m))
    for r in range(z.shape[0]):
        tol, limit = own(params, r, 0), own(params, r, 1)
        if not (_known(z[r]) and _known(u[r]) and _known(log_a[r]) and _known(log_b[r])):
            v[r] = np.nan
            continue
        rows[0] = u[r]
        _potentials(z[r].reshape(n, m), log_a[r], log_b[r], tol, int(limit), plan, rows, columns)
        v[r] = columns[0]
