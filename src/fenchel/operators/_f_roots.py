r"""The maximiser of <p, z> - D(p, q) over the simplex, by one root a row.

p_i = q_i u_i with f'(u_i) = z_i - tau where positive. In place of tau the unknown is one in which
no entry is lost to rounding:

- alpha <= 1 and Jensen-Shannon: L = log u_j of the entry j with the largest score. There f' is
  bounded above, so that tau does not resolve a large u_j: for Neyman's, u = 10^6 is 1e-12 from the
  bound. Since alpha-logarithms differ by the scores, u_i^(alpha-1) = u_j^(alpha-1) +
  (alpha - 1)(z_i - z_j), a sum of two positive numbers.
- 1 <= alpha <= 2: tau itself, by Newton's method on log_alpha(sum p), which is monotone.

Roots are found detached; two Newton steps with live arguments follow.
"""

from __future__ import annotations

import math
from typing import Any

from ..arrays import float_info
from ..convex.thresholds import row_constant, stop
from ..kernels import solver_kernel
from ._deformed import deformed, log1p_ratio

__all__ = [
    "anchored_formula",
    "anchored_level",
    "jensen_shannon_level",
    "linear_formula",
    "threshold_formula",
    "threshold_level",
]

Array = Any

_STEPS = 16  # 8 suffice for alpha >= -3; the bracket halves where Newton's step leaves it
_FAR = 14.0  # logarithm of a ratio that 1 is small against


def anchored_formula(backend: Any, z: Array, log_q: Array, alpha: Any) -> Array:
    """Probabilities for alpha <= 1, or by Jensen and Shannon's generator where `alpha` is None."""
    xp = backend.namespace
    data, log_q0 = backend.stop_gradient(z), backend.stop_gradient(log_q)
    inside = data != float("-inf")
    nothing = ~xp.any(inside, axis=-1, keepdims=True)
    if alpha is None:
        (level,) = solver_kernel(backend, jensen_shannon_level)(data, log_q0)
    else:
        (level,) = solver_kernel(backend, anchored_level)(
            data, log_q0, row_constant(backend, alpha, data)
        )
    level = backend.stop_gradient(level)
    zeros = xp.zeros_like(z)
    z, data = xp.where(inside, z, zeros), xp.where(inside, data, zeros)
    top = xp.argmax(xp.where(inside, data, zeros - float("inf")), axis=-1, keepdims=True)
    drop = z - xp.take_along_axis(z, top, axis=-1)
    for _ in range(2):
        log_u, rate = _spread(xp, level, drop, alpha)
        p = xp.where(inside, xp.exp(log_q + log_u), zeros)
        total = xp.sum(p, axis=-1, keepdims=True)
        total = xp.where(nothing, xp.ones_like(total), total)
        slope = xp.sum(p * rate, axis=-1, keepdims=True) / total
        step = xp.log(total) / xp.where(slope > 0, slope, xp.ones_like(slope))
        # Where p_j is below the rounding of the total, the value of the step is noise.
        noise = backend.stop_gradient(step)
        noise = xp.where(xp.abs(noise) < 0.5, xp.zeros_like(noise), noise)
        level = level - (step - noise)
    log_u, _ = _spread(xp, level, drop, alpha)
    return xp.where(inside, xp.exp(log_q + log_u), zeros)


def _spread(xp: Any, level: Array, drop: Array, alpha: Any) -> tuple[Array, Array]:
    """Return log u_i, given log u_j = level and z_i - z_j = drop <= 0, and d log u_i / d level."""
    if alpha is None:
        gap = -xp.expm1(drop) * xp.exp(level)
        return drop + level - xp.log1p(gap), 1.0 / (1.0 + gap)
    grows = (1.0 - alpha) * level + xp.zeros_like(drop)
    height = (alpha - 1.0) * drop
    positive = height > 0
    logs = grows + xp.log(xp.where(positive, height, xp.ones_like(height)))
    far = positive & (logs > _FAR)
    scale = _exp(xp, xp.where(far, xp.zeros_like(grows), grows))
    ratio = xp.where(far, xp.zeros_like(height), height) * scale
    near = level + drop * scale * log1p_ratio(xp, ratio)
    # Far away `level` cancels: u^(alpha-1) is the height and a little.
    rest = xp.exp(-xp.where(far, logs, xp.zeros_like(logs)))
    order = xp.where(far, xp.zeros_like(height) + (alpha - 1.0), -xp.ones_like(height))
    beyond = (logs - grows + xp.log1p(rest)) / order
    rate = xp.where(far, rest / (1.0 + rest), 1.0 / (1.0 + ratio))
    return xp.where(far, beyond, near), rate


def _exp(xp: Any, x: Array) -> Array:
    """Return exp(x), cut short of where its product with 0 would be NaN."""
    most = math.log(float(xp.finfo(x.dtype).max)) - 8.0
    return xp.exp(xp.where(x > most, xp.full_like(x, most), x))


def jensen_shannon_level(backend: Any, z: Array, log_q: Array) -> tuple[Array]:
    """Reference kernel: `anchored_level` for Jensen and Shannon's generator."""
    return (_level(backend, z, log_q, None),)


def anchored_level(backend: Any, z: Array, log_q: Array, alpha: Any) -> tuple[Array]:
    """Reference kernel: the level at which the sum is 1, for alpha <= 1."""
    return (_level(backend, z, log_q, alpha),)


def _level(backend: Any, z: Array, log_q: Array, alpha: Any) -> Array:
    """Return the root by Newton's method in a bracket."""
    xp = backend.namespace
    inside = z != float("-inf")
    zeros = xp.zeros_like(z)
    least = xp.full_like(z, float("-inf"))
    drop, log_q = xp.where(inside, z, zeros), xp.where(inside, log_q, zeros)
    drop = drop - xp.max(xp.where(inside, drop, least), axis=-1, keepdims=True)
    drop = xp.where(inside, drop, zeros)

    def log_total(logs: Array) -> tuple[Array, Array]:
        logs = xp.where(inside, logs, least)
        top = xp.max(logs, axis=-1, keepdims=True)
        top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
        p = xp.exp(logs - top)
        total = xp.sum(p, axis=-1, keepdims=True)
        total = xp.where(total > 0, total, xp.where(total == 0, xp.ones_like(total), total))
        return top + xp.log(total), p / total

    # A little lower: the root may be the bound itself, and rounding put a step below it.
    low = -log_total(log_q)[0] - 2.0**-10
    high = xp.maximum(_upper(xp, drop, log_q, inside, alpha), low)

    def body(level: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
        log_u, rate = _spread(xp, level, drop, alpha)
        excess, p = log_total(log_q + log_u)
        low = xp.where(excess <= 0, level, low)
        high = xp.where(excess >= 0, level, high)
        slope = xp.sum(p * rate, axis=-1, keepdims=True)
        moved = level - excess / xp.where(slope > 0, slope, xp.ones_like(slope))
        good = (moved >= low) & (moved <= high)
        return xp.where(good, moved, low + (high - low) / 2), low, high

    level, _, _ = _iterate(backend, body, high, low, high)
    nan = xp.any(xp.isnan(z) | xp.isnan(log_q), axis=-1, keepdims=True)
    return xp.where(nan, xp.full_like(level, float("nan")), level)


def _iterate(backend: Any, body: Any, x: Array, *rest: Array) -> tuple[Array, ...]:
    """Apply `body` to the state until `x`, the first of it, rests in all rows."""
    xp = backend.namespace
    info = float_info(x.dtype)
    tol = 4.0 * info.eps if info is not None else 0.0
    count = xp.zeros((), dtype=xp.int32, device=backend.device_of(x))

    def going(state: tuple[Array, Array, tuple[Array, ...]]) -> Array:
        return (state[0] < _STEPS) & xp.any(state[1])

    def step(state: tuple[Array, Array, tuple[Array, ...]]) -> Any:
        count, _, old = state
        new = tuple(body(*old))
        return count + 1, xp.abs(new[0] - old[0]) > tol * (1.0 + xp.abs(old[0])), new

    start = (count, xp.ones_like(x, dtype=xp.bool), (x, *rest))
    return tuple(backend.while_loop(going, step, start)[2])


def _upper(xp: Any, drop: Array, log_q: Array, inside: Array, alpha: Any) -> Array:
    """Return the level at which the first entry reaches probability 1; there the sum is <= n."""
    infinite = xp.full_like(drop, float("inf"))
    if alpha is None:
        # Beyond e^40 there is no room.
        rise, weight = (xp.where(a > 40.0, xp.full_like(a, 40.0), a) for a in (-drop, -log_q))
        room = 1.0 - xp.expm1(rise) * xp.exp(weight)
        level = -drop - log_q - xp.log(xp.where(room > 0, room, xp.ones_like(room)))
    else:
        scale = _exp(xp, (alpha - 1.0) * log_q)
        ratio = (1.0 - alpha) * drop * scale
        room = 1.0 + ratio
        ratio = xp.where(room > 0, ratio, xp.zeros_like(ratio))
        level = -log_q - drop * scale * log1p_ratio(xp, ratio)
    level = xp.where(inside & (room > 0) & xp.isfinite(level), level, infinite)
    level = xp.min(level, axis=-1, keepdims=True)
    # The entry with the largest score always has room.
    return xp.where(xp.isfinite(level), level, xp.zeros_like(level))


def threshold_formula(backend: Any, z: Array, q: Array, alpha: Any) -> Array:
    """Probabilities for alpha in [1, 2] with a reference measure."""
    xp = backend.namespace
    data, alpha0 = backend.stop_gradient(z), stop(backend, alpha)
    (found,) = solver_kernel(backend, threshold_level)(
        data, backend.stop_gradient(q), row_constant(backend, alpha, data)
    )
    found = backend.stop_gradient(found)
    known = xp.isfinite(found)
    tau = xp.where(known, found, xp.zeros_like(found))
    on = known & (data > float("-inf"))
    height = xp.where(on, data, xp.broadcast_to(tau, data.shape)) - tau
    on = on & (1.0 + (alpha0 - 1.0) * height > 0)
    log_q = xp.log(q)
    for _ in range(2):
        p, slopes = _above(xp, z, tau, log_q, alpha, on)
        slope = xp.sum(slopes, axis=-1, keepdims=True)
        excess = xp.sum(p, axis=-1, keepdims=True) - 1.0
        moves = slope > 0
        step = xp.where(moves, excess, xp.zeros_like(excess))
        tau = tau + step / xp.where(moves, slope, xp.ones_like(slope))
    y = _above(xp, z, tau, log_q, alpha, on)[0]
    return xp.where(xp.isnan(found), xp.full_like(y, float("nan")), y)


def _above(
    xp: Any, z: Array, tau: Array, log_q: Array, alpha: Any, on: Array
) -> tuple[Array, Array]:
    """Return p and -dp/dtau on the support, 0 elsewhere."""
    zeros = xp.zeros_like(z)
    height = xp.where(on, z, xp.broadcast_to(tau, z.shape)) - tau
    base = (alpha - 1.0) * height
    inside = on & (base > -1.0)
    log_u = xp.where(inside, height * log1p_ratio(xp, xp.where(inside, base, zeros)), zeros)
    p = xp.where(inside, xp.exp(log_q + log_u), zeros)
    return p, xp.where(inside, xp.exp(log_q + (2.0 - alpha) * log_u), zeros)


def threshold_level(backend: Any, z: Array, q: Array, alpha: Any) -> tuple[Array]:
    """Reference kernel: tau, by Newton's method from where the first entry has probability 1."""
    xp = backend.namespace
    valid = z > float("-inf")
    zeros = xp.zeros_like(z)
    log_q = xp.log(q)
    start = xp.where(valid, z, zeros) - deformed(xp, -log_q, alpha)
    start = xp.where(valid, start, xp.full_like(z, float("-inf")))
    tau = xp.max(start, axis=-1, keepdims=True)
    empty = tau == float("-inf")
    tau = xp.where(empty, xp.zeros_like(tau), tau)

    def body(tau: Array) -> tuple[Array]:
        p, slopes = _above(xp, z, tau, log_q, alpha, valid)
        total = xp.sum(p, axis=-1, keepdims=True)
        slope = xp.sum(slopes, axis=-1, keepdims=True)
        total = xp.where(total > 0, total, xp.ones_like(total))
        log_total = xp.log(total)
        step = deformed(xp, log_total, alpha) * xp.exp((2.0 - alpha) * log_total)
        return (tau + step / xp.where(slope > 0, slope, xp.ones_like(slope)),)

    (tau,) = _iterate(backend, body, tau)
    tau = xp.where(empty, xp.full_like(tau, float("inf")), tau)
    nan = xp.any(xp.isnan(z) | xp.isnan(q), axis=-1, keepdims=True)
    return (xp.where(nan, xp.full_like(tau, float("nan")), tau),)


def linear_formula(backend: Any, z: Array, q: Array) -> Array:
    """Probabilities for alpha = 2: on the support, tau is a weighted mean."""
    xp = backend.namespace
    data = backend.stop_gradient(z)
    (found,) = solver_kernel(backend, threshold_level)(data, backend.stop_gradient(q), 2.0)
    found = backend.stop_gradient(found)
    known = xp.isfinite(found)
    tau = xp.where(known, found, xp.zeros_like(found))
    zeros = xp.zeros_like(z)
    height = xp.where(data > float("-inf"), data, zeros) - tau
    on = known & (data > float("-inf")) & (1.0 + height > 0)
    weight = xp.where(on, q, zeros)
    size = xp.sum(weight, axis=-1, keepdims=True)
    height = xp.where(on, xp.where(on, z, zeros) - tau + 1.0, zeros)
    excess = xp.sum(weight * height, axis=-1, keepdims=True) - 1.0
    height = height - excess / xp.where(size > 0, size, xp.ones_like(size))
    y = xp.where(on & (height > 0), weight * height, zeros)
    return xp.where(xp.isnan(found), xp.full_like(y, float("nan")), y)
