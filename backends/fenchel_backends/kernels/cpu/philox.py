"""Normal numbers of a `RandomStream`: Philox4x32-10 and the method of Box and Muller, in one pass.

The same counters, words and order as `fenchel.random.stream` has; every loop runs over the blocks
of a chunk, in which no number depends on another, so that it is vector code.
"""

from math import factorial
from typing import Any

import numpy as np

from .elementary import log64
from .jit import Rows, compiled, inlined

__all__ = ["CHUNK", "normal_numbers", "philox_normals"]

CHUNK = 64
"""Counter blocks that are worked on together; each gives two normal numbers in float64, four in
float32."""

_LOW = np.uint64(0xFFFFFFFF)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_HALF, _FIVE, _SIX, _EIGHT = np.uint64(32), np.uint64(5), np.uint64(6), np.uint64(8)
_ONE = np.uint64(1)

# Taylor coefficients of sin(2 pi r) / r and cos(2 pi r) in r^2: on |r| <= 1/8 the first term left
# out is below 1e-16.
_TURN = 2.0 * np.pi
_TURN32 = np.float32(_TURN)
_S = [(-1.0) ** j * _TURN ** (2 * j + 1) / factorial(2 * j + 1) for j in range(9)]
_C = [(-1.0) ** j * _TURN ** (2 * j) / factorial(2 * j) for j in range(9)]
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8 = _S
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8 = _C


@inlined
def _circle(u: Any) -> Any:
    """Cosine and sine of 2 pi u for u in [0, 1)."""
    quarter = np.floor(4.0 * u + 0.5)
    r = u - 0.25 * quarter
    z = r * r
    s = ((((_S8 * z + _S7) * z + _S6) * z + _S5) * z + _S4) * z + _S3
    s = (((s * z + _S2) * z + _S1) * z + _S0) * r
    c = ((((_C8 * z + _C7) * z + _C6) * z + _C5) * z + _C4) * z + _C3
    c = ((c * z + _C2) * z + _C1) * z + _C0
    # quarters 0, 1, 2, 3 (and 4, which is 0): (c, s), (-s, c), (-c, -s), (s, -c)
    odd = (quarter == 1.0) | (quarter == 3.0)
    cosine, sine = (s, c) if odd else (c, s)
    left = (quarter == 1.0) | (quarter == 2.0)
    below = (quarter == 2.0) | (quarter == 3.0)
    return (-cosine if left else cosine), (-sine if below else sine)


@inlined
def _radius(u: Any) -> Any:
    return np.sqrt(-2.0 * log64(1.0 - u))


@inlined
def _single(u: Any) -> Any:
    """Move u to where the angle 2 pi u, rounded to single precision, is: the formula rounds it."""
    return np.float64(np.float32(u) * _TURN32) * (1.0 / _TURN)


@compiled
def _words(first: Any, place: Rows, words: Rows) -> None:
    """Fill (4, CHUNK) words of the blocks from `first` on; `place`: seed, step, slot, stream."""
    seed = place[0]
    step, slot, stream = place[1], place[2], place[3]
    a, b, c, d = words[0], words[1], words[2], words[3]
    for i in range(CHUNK):
        c0, c1, c2, c3 = (first + np.uint64(i)) & _LOW, step, slot, stream
        k0, k1 = seed & _LOW, seed >> _HALF
        for _ in range(10):
            product0, product1 = _M0 * c0, _M1 * c2
            c0, c2 = (product1 >> _HALF) ^ c1 ^ k0, (product0 >> _HALF) ^ c3 ^ k1
            c1, c3 = product1 & _LOW, product0 & _LOW
            k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
        a[i], b[i], c[i], d[i] = c0, c1, c2, c3


@compiled
def normal_numbers(first: int, place: Rows, double: bool, words: Rows, out: Rows) -> None:
    """Fill the normal numbers of CHUNK blocks from block `first` on, as float64.

    `out` has room for 2 CHUNK numbers in double precision, 4 CHUNK in single, where each uniform
    number has 24 bits.
    """
    _words(np.uint64(first), place, words)
    a, b, c, d = words[0], words[1], words[2], words[3]
    if double:
        for i in range(CHUNK):
            u = (np.float64(a[i] >> _FIVE) * 2.0**26 + np.float64(b[i] >> _SIX)) * 2.0**-53
            v = (np.float64(c[i] >> _FIVE) * 2.0**26 + np.float64(d[i] >> _SIX)) * 2.0**-53
            r, (x, y) = _radius(u), _circle(v)
            out[2 * i], out[2 * i + 1] = r * x, r * y
        return
    for i in range(CHUNK):
        u, v = np.float64(a[i] >> _EIGHT) * 2.0**-24, np.float64(b[i] >> _EIGHT) * 2.0**-24
        r, (x, y) = _radius(u), _circle(_single(v))
        out[4 * i], out[4 * i + 1] = r * x, r * y
        u, v = np.float64(c[i] >> _EIGHT) * 2.0**-24, np.float64(d[i] >> _EIGHT) * 2.0**-24
        r, (x, y) = _radius(u), _circle(_single(v))
        out[4 * i + 2], out[4 * i + 3] = r * x, r * y


@compiled
def philox_normals(places: Rows, out: Rows) -> None:
    """Fill rows (R, n) of normal numbers; row r has the seed, step, slot, stream of ``places[r]``.

    `places` is uint64 of shape (R, 4).
    """
    rows, n = out.shape
    double = out.itemsize == 8
    width = (2 if double else 4) * CHUNK
    words, numbers = np.empty((4, CHUNK), np.uint64), np.empty(width, np.float64)
    for r in range(rows):
        for start in range(0, n, width):
            normal_numbers(start // width * CHUNK, places[r], double, words, numbers)
            for j in range(min(width, n - start)):
                out[r, start + j] = numbers[j]
