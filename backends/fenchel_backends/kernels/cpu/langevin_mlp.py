"""One Langevin step of an energy tanh network + confinement |x|^2 / 2, in one pass.

A batch of particles goes forwards and backwards through the layers while it is in the cache: the
matrix products are those of BLAS, everything between them is one loop.
"""

from typing import Any

import numba
import numpy as np
from numba import types

from .elementary import exp32, exp64
from .jit import Rows, compiled
from .philox import CHUNK, normal_numbers

__all__ = ["langevin_mlp"]

_BATCH = 4 * CHUNK
"""Particles whose noise is drawn together."""

_ROWS = 2 * CHUNK
"""Particles that go through the network together: products of 128 x 64 x 64 are small to OpenBLAS,
which then leaves out the packing."""

_extending: Any = numba.extending


def _tanh(x: float) -> float:
    """Hyperbolic tangent to an absolute error of one unit in the last place of 1."""
    return float(np.tanh(x))


_ONE32, _TWO32, _FAR32 = np.float32(1.0), np.float32(2.0), np.float32(10.0)


def _tanh_of(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            near = x if x > -_FAR32 else (-_FAR32 if x <= -_FAR32 else x)
            near = _FAR32 if near > _FAR32 else near
            return _ONE32 - _TWO32 / (exp32(_TWO32 * near) + _ONE32)

        return single

    def double(x: Any) -> Any:
        near = x if x > -20.0 else (-20.0 if x <= -20.0 else x)  # NaN stays
        near = 20.0 if near > 20.0 else near
        return 1.0 - 2.0 / (exp64(2.0 * near) + 1.0)

    return double


_options = {"error_model": "numpy", "fastmath": {"contract"}}
_extending.overload(_tanh, jit_options=_options)(_tanh_of)


@compiled
def _activate(z: Rows, bias: Rows) -> None:
    """Write tanh(z + bias) over rows z (batch, width)."""
    for r in range(z.shape[0]):
        row = z[r]
        for j in range(row.size):
            row[j] = _tanh(row[j] + bias[j])


@compiled
def _through(g: Rows, h: Rows) -> None:
    """Multiply a cotangent by the derivative 1 - h^2 of tanh."""
    one = h.dtype.type(1.0)
    for r in range(g.shape[0]):
        a, b = g[r], h[r]
        for j in range(a.size):
            a[j] *= one - b[j] * b[j]


@compiled
def _below_output(weight: Rows, h: Rows, g: Rows) -> None:
    """Write the pullback of the last layer and of the tanh below it; `h` is flat."""
    one, width = h.dtype.type(1.0), weight.size
    for r in range(g.shape[0]):
        row, seen = g[r], h[r * width : (r + 1) * width]
        for j in range(width):
            row[j] = weight[j] * (one - seen[j] * seen[j])


@compiled
def _gradient(x: Rows, flat: Rows, turned: Rows, widths: Rows, work: Rows, grads: Rows) -> Rows:
    """Return the gradient of the network in particles x (batch, d).

    `flat` holds weights (before, after) and biases layer by layer, `turned` the weights the other
    way round; `work` and `grads` have room for the activations of all layers.
    """
    count, layers = x.shape[0], widths.size - 1
    h, place, first = x, 0, 0
    for layer in range(layers - 1):
        a, b = widths[layer], widths[layer + 1]
        weight = flat[place : place + a * b].reshape(a, b)
        z = work[first : first + count * b].reshape(count, b)
        np.dot(h, weight, z)
        _activate(z, flat[place + a * b : place + a * b + b])
        h, place, first = z, place + a * b + b, first + count * b
    last = widths[layers - 1]
    if layers == 1:
        return np.zeros_like(x) + turned[:last]
    # the last layer has one output: its pullback is a row of weights
    first -= count * last
    g = grads[first : first + count * last].reshape(count, last)
    _below_output(turned[place : place + last], work[first : first + count * last], g)
    for step in range(layers - 2):
        layer = layers - 2 - step
        a, b = widths[layer], widths[layer + 1]
        place -= a * b + b
        back = turned[place : place + a * b].reshape(b, a)
        first -= count * a
        new = grads[first : first + count * a].reshape(count, a)
        np.dot(g, back, new)
        _through(new, work[first : first + count * a].reshape(count, a))
        g = new
    a, b = widths[0], widths[1]
    slope = np.empty_like(x)
    np.dot(g, turned[: a * b].reshape(b, a), slope)
    return slope


@compiled
def langevin_mlp(
    x: Rows,
    flat: Rows,
    turned: Rows,
    widths: Rows,
    place: Rows,
    given: Rows,
    params: Rows,
    y: Rows,
) -> None:
    """Move particles (n, d); params: step size, scale of the noise, confinement.

    The noise is `given`, (n, d), or where that has no rows the numbers of the stream at `place`.
    """
    n, d = x.shape
    double = x.itemsize == 8
    width = (2 if double else 4) * CHUNK
    step, scale, well = params[0], params[1], params[2]
    words = np.empty((4, CHUNK), np.uint64)
    noise = np.empty(_BATCH * d, np.float64)
    size = _ROWS * widths.sum()
    work, grads = np.empty(size, x.dtype), np.empty(size, x.dtype)
    for start in range(0, n, _BATCH):
        stop = min(start + _BATCH, n)
        if given.shape[0]:
            noise[: (stop - start) * d] = given[start:stop].reshape((stop - start) * d)
        else:
            for first in range(0, (stop - start) * d, width):
                block = (start * d + first) // width * CHUNK
                normal_numbers(block, place, double, words, noise[first:])
        for begin in range(start, stop, _ROWS):
            part = x[begin : min(begin + _ROWS, stop)]
            slope = _gradient(part, flat, turned, widths, work, grads)
            for r in range(part.shape[0]):
                for j in range(d):
                    gradient = slope[r, j] + well * part[r, j]
                    drawn = noise[(begin - start + r) * d + j]
                    y[begin + r, j] = part[r, j] - step * gradient + scale * drawn
