"""Pooling of adjacent violators for a decreasing fit of block means.

The blocks may be pooled in any order. Passes over alternate pairs have no branches: both outcomes
are written, and the write position moves by two, or by one where a pair was pooled. They run
until one removes few blocks; a stack pass finishes. Means are compared by cross-multiplication.

A block is two (sum, count) or three (sum, weight, count) neighbouring float64 numbers: one cache
line serves a comparison. The flag of a violation enters as a factor, since a conditional
would be compiled to a branch, which costs more than the whole pass; a row that holds an infinity,
where 0 * inf would spoil the sums, is left to the stack pass.
"""

from .jit import Rows, at, compiled

__all__ = ["pool", "pool_weighted"]

_FEW = 16


@compiled
def _first_pass(y: Rows, shift: float, sign: float, z: Rows) -> int:
    """Read a row of single entries and pool its pairs (0, 1), (2, 3), ..."""
    w, n = 0, y.size
    for h in range(n // 2):
        s, t = sign * (y[at(2 * h)] - shift), sign * (y[at(2 * h + 1)] - shift)
        violated = int(s < t)
        flag = float(violated)
        z[at(2 * w)] = s + t * flag
        z[at(2 * w + 1)] = 1.0 + flag
        z[at(2 * w + 2)] = t
        z[at(2 * w + 3)] = 1.0
        w += 2 - violated
    if n % 2 == 1:
        z[at(2 * w)] = sign * (y[at(n - 1)] - shift)
        z[at(2 * w + 1)] = 1.0
        w += 1
    return w


@compiled
def _pair_pass(z: Rows, m: int, offset: int) -> int:
    w = offset
    for h in range((m - offset) // 2):
        j = 2 * (offset + 2 * h)
        s, c, t, d = z[at(j)], z[at(j + 1)], z[at(j + 2)], z[at(j + 3)]
        violated = int(s * d < t * c)
        flag = float(violated)
        z[at(2 * w)] = s + t * flag
        z[at(2 * w + 1)] = c + d * flag
        z[at(2 * w + 2)] = t
        z[at(2 * w + 3)] = d
        w += 2 - violated
    if (m - offset) % 2 == 1:
        z[at(2 * w)] = z[at(2 * m - 2)]
        z[at(2 * w + 1)] = z[at(2 * m - 1)]
        w += 1
    return w


@compiled
def _stack_pass(z: Rows, m: int) -> int:
    top = 0
    for j in range(m):
        s, c = z[at(2 * j)], z[at(2 * j + 1)]
        while top > 0 and z[at(2 * top - 2)] * c < s * z[at(2 * top - 1)]:
            top -= 1
            s, c = s + z[at(2 * top)], c + z[at(2 * top + 1)]
        z[at(2 * top)] = s
        z[at(2 * top + 1)] = c
        top += 1
    return top


@compiled
def pool(y: Rows, shift: float, sign: float, finite: bool, z: Rows) -> int:
    """Blocks (sum, count) of the decreasing fit of ``sign * (y - shift)``; how many there are."""
    n = y.size
    if not finite:
        for i in range(n):
            z[2 * i] = sign * y[i]
            z[2 * i + 1] = 1.0
        return _stack_pass(z, n)
    m, offset = _first_pass(y, shift, sign, z), 1
    while m > _FEW:
        left = _pair_pass(z, m, offset)
        few = (m - left) * _FEW < m
        m, offset = left, 1 - offset
        if few:
            break
    return _stack_pass(z, m)


@compiled
def _weighted_pair_pass(z: Rows, m: int, offset: int) -> int:
    w = offset
    for h in range((m - offset) // 2):
        j = 3 * (offset + 2 * h)
        s, u, c = z[at(j)], z[at(j + 1)], z[at(j + 2)]
        t, v, d = z[at(j + 3)], z[at(j + 4)], z[at(j + 5)]
        # a block of no weight has no mean: it joins its neighbour
        violated = int((s * v < t * u) | (u == 0.0) | (v == 0.0))
        flag = float(violated)
        z[at(3 * w)] = s + t * flag
        z[at(3 * w + 1)] = u + v * flag
        z[at(3 * w + 2)] = c + d * flag
        z[at(3 * w + 3)] = t
        z[at(3 * w + 4)] = v
        z[at(3 * w + 5)] = d
        w += 2 - violated
    if (m - offset) % 2 == 1:
        z[at(3 * w)] = z[at(3 * m - 3)]
        z[at(3 * w + 1)] = z[at(3 * m - 2)]
        z[at(3 * w + 2)] = z[at(3 * m - 1)]
        w += 1
    return w


@compiled
def _weighted_stack_pass(z: Rows, m: int) -> int:
    top = 0
    for j in range(m):
        s, u, c = z[at(3 * j)], z[at(3 * j + 1)], z[at(3 * j + 2)]
        while top > 0:
            i = 3 * top - 3
            if not (z[at(i)] * u < s * z[at(i + 1)] or u == 0.0 or z[at(i + 1)] == 0.0):
                break
            top -= 1
            s, u, c = s + z[at(i)], u + z[at(i + 1)], c + z[at(i + 2)]
        z[at(3 * top)] = s
        z[at(3 * top + 1)] = u
        z[at(3 * top + 2)] = c
        top += 1
    return top


@compiled
def pool_weighted(z: Rows, m: int, finite: bool) -> int:
    """Pool m blocks (sum, weight, count) of value sum / weight in place; how many are left."""
    offset = 0
    while finite and m > _FEW:
        left = _weighted_pair_pass(z, m, offset)
        few = (m - left) * _FEW < m
        m, offset = left, 1 - offset
        if few:
            break
    return _weighted_stack_pass(z, m)
