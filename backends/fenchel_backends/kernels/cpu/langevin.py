"""One Langevin step of a mixture of Gaussians: gradient, noise and move in one pass.

With precision p, heights ``h_i = logit_i - p |m_i|^2 / 2 + p <x, m_i>`` and responsibilities
``r = softmax(h)``, the gradient of the energy ``-log sum_i w_i exp(-p |x - m_i|^2 / 2)`` is
``p (x - sum_i r_i m_i)``. Particles are worked on in batches that stay in the cache, transposed, so
that every loop runs over particles.
"""

from typing import Any

import numpy as np

from .elementary import LOWEST64, exp64
from .jit import Rows, compiled, inlined
from .philox import CHUNK, normal_numbers

__all__ = ["langevin_mixture", "langevin_mixture_noise"]

_BATCH = 4 * CHUNK
"""Particles that are worked on together."""


@inlined
def _floored(x: Any) -> Any:
    # not `max`: NaN has to stay
    return LOWEST64 if x < LOWEST64 else x


@compiled
def _heights(x: Rows, means: Rows, base: Rows, precision: float, h: Rows, top: Rows) -> None:
    """Write h (m, batch) for particles x (d, batch), and the largest of each particle."""
    d, count = x.shape
    top[:] = -np.inf
    for i in range(base.size):
        level = base[i]
        row = h[i]
        row[:] = level
        for j in range(d):
            mean, coordinate = precision * np.float64(means[i, j]), x[j]
            for b in range(count):
                row[b] += coordinate[b] * mean
        for b in range(count):
            top[b] = row[b] if row[b] > top[b] else top[b]


@compiled
def _mix(means: Rows, h: Rows, top: Rows, total: Rows, mixed: Rows) -> None:
    """Write the mean of the means by responsibility, (d, batch), times `total`."""
    d, count = mixed.shape
    total[:] = 0.0
    mixed[:] = 0.0
    for i in range(h.shape[0]):
        row = h[i]
        for b in range(count):
            row[b] = exp64(_floored(row[b] - top[b]))
            total[b] += row[b]
        for j in range(d):
            mean, coordinate = np.float64(means[i, j]), mixed[j]
            for b in range(count):
                coordinate[b] += row[b] * mean


@compiled
def _base(means: Rows, logits: Rows, precision: float) -> Rows:
    base = np.empty(logits.size, np.float64)
    for i in range(logits.size):
        square = 0.0
        for j in range(means.shape[1]):
            square += np.float64(means[i, j]) ** 2
        base[i] = np.float64(logits[i]) - 0.5 * precision * square
    return base


@compiled
def _moved(
    x: Rows, means: Rows, base: Rows, params: Rows, work: Rows, heights: Rows, noise: Rows, y: Rows
) -> None:
    """Move at most a batch of particles; `noise` is flat, `work` holds (2 d + 2, batch)."""
    count, d = x.shape
    step, scale, precision = params[0] * params[2], params[1], params[2]
    turned, mixed, top, total = work[:d], work[d : 2 * d], work[2 * d], work[2 * d + 1]
    for j in range(d):
        for b in range(count):
            turned[j, b] = x[b, j]
    _heights(turned, means, base, precision, heights, top)
    _mix(means, heights, top, total, mixed)
    for b in range(count):
        total[b] = 1.0 / total[b]
    for b in range(count):
        for j in range(d):
            gradient = turned[j, b] - mixed[j, b] * total[b]
            y[b, j] = turned[j, b] - step * gradient + scale * noise[b * d + j]


@compiled
def langevin_mixture_noise(
    x: Rows, means: Rows, logits: Rows, noise: Rows, params: Rows, y: Rows
) -> None:
    """Move particles (n, d) by given noise; params: step size, scale of the noise, precision."""
    n, d = x.shape
    base, flat = _base(means, logits, params[2]), noise.reshape(n * d)
    work = np.zeros((2 * d + 2, _BATCH), np.float64)
    heights = np.empty((logits.size, _BATCH), np.float64)
    for start in range(0, n, _BATCH):
        stop = min(start + _BATCH, n)
        part = flat[start * d : stop * d]
        _moved(x[start:stop], means, base, params, work, heights, part, y[start:stop])


@compiled
def langevin_mixture(
    x: Rows, means: Rows, logits: Rows, place: Rows, params: Rows, y: Rows
) -> None:
    """Move particles (n, d) by the noise of a stream; place: its seed, step, slot and stream."""
    n, d = x.shape
    base = _base(means, logits, params[2])
    work = np.zeros((2 * d + 2, _BATCH), np.float64)
    heights = np.empty((logits.size, _BATCH), np.float64)
    double = x.itemsize == 8
    width = (2 if double else 4) * CHUNK
    words = np.empty((4, CHUNK), np.uint64)
    # _BATCH * d is a multiple of the numbers of a chunk: batches begin with one
    noise = np.empty(_BATCH * d, np.float64)
    for start in range(0, n, _BATCH):
        stop = min(start + _BATCH, n)
        for first in range(0, (stop - start) * d, width):
            block = (start * d + first) // width * CHUNK
            normal_numbers(block, place, double, words, noise[first:])
        _moved(x[start:stop], means, base, params, work, heights, noise, y[start:stop])
