"""Isotonic fits as formulas: detached structure first, then the live value of each block.

Rows are (..., n) arrays of float32 or float64. Every function returns the fit and the block ids.
Derivatives are those of the formulas at fixed blocks, right to every order almost everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

from ..backend import Array, Backend, backend_of, compiled
from ..kernels import structure_kernel
from .blocks import (
    block_logsumexp,
    block_max,
    block_mean,
    block_size,
    block_sum,
    spread_nan,
    weighted_block_mean,
)
from .dykstra import dykstra
from .pooling import pool_kl, pool_pnorm, pool_squared, pool_weighted

__all__ = ["DykstraFit", "dykstra_fit", "fused_fit", "kl_fit", "pnorm_fit", "squared_fit"]


class DykstraFit(NamedTuple):
    """What Dykstra's algorithm reached: fit, ids (..., n) and status (..., 1)."""

    fit: Array
    ids: Array
    iterations: Array
    residual: Array
    converged: Array


def fused_fit(backend: Backend, y: Array, increasing: bool) -> Array:
    """Return the unweighted least-squares fit, by the fused rule where it serves."""

    def formula(y: Array) -> Array:
        return squared_fit(backend_of(y), y, None, increasing)[0]

    rule = backend.fused("isotonic", y)
    return formula(y) if rule is None else rule(formula, y, (float(increasing),))


@compiled("increasing")
def squared_fit(
    backend: Backend, y: Array, weights: Array | None, increasing: bool
) -> tuple[Array, Array]:
    """Return the least-squares fit: block means."""
    fixed = backend.stop_gradient(y)
    if weights is None:
        blocks = structure_kernel(backend, "isotonic_blocks", pool_squared, y)
        ids = blocks(fixed, float(increasing))
        return spread_nan(backend, block_mean(backend, y, ids)), ids
    blocks = structure_kernel(backend, "weighted_isotonic_blocks", pool_weighted, y)
    ids = blocks(fixed, backend.stop_gradient(weights), float(increasing))
    return spread_nan(backend, weighted_block_mean(backend, y, weights, ids)), ids


def kl_fit(
    backend: Backend, y: Array, log_weights: Array | None, increasing: bool
) -> tuple[Array, Array]:
    """Return the fit whose blocks have the value logsumexp(y) - logsumexp(log_weights)."""
    xp = backend.namespace
    fixed = backend.stop_gradient(y)
    w = xp.zeros_like(fixed) if log_weights is None else log_weights
    blocks = structure_kernel(backend, "kl_isotonic_blocks", pool_kl, y)
    ids = blocks(fixed, backend.stop_gradient(w), float(increasing))
    upper = block_logsumexp(backend, y, ids, block_max(backend, y, ids))
    if log_weights is None:
        size = block_size(backend, y, ids)
        return spread_nan(backend, upper - xp.log(size)), ids
    lower = block_logsumexp(backend, w, ids, block_max(backend, w, ids))
    return spread_nan(backend, xp.subtract(upper, lower)), ids


def pnorm_fit(
    backend: Backend, y: Array, weights: Array | None, p: float, increasing: bool
) -> tuple[Array, Array]:
    """Return the fit that minimises the sum of weights |y - v|^p / p.

    The value v of a block solves sum of weights phi(v - y) = 0 with phi(d) = sign(d) |d|^(p - 1).
    The kernel's root is detached, then corrected by two Newton steps, which carry the derivatives
    up to the third order.
    """
    xp = backend.namespace
    weights = xp.ones_like(backend.stop_gradient(y)) if weights is None else weights
    fixed, fixed_weights = backend.stop_gradient(y), backend.stop_gradient(weights)
    blocks = structure_kernel(backend, "pnorm_isotonic_blocks", pool_pnorm, y)
    ids, root = blocks(fixed, fixed_weights, p, float(increasing))
    no_weight = block_sum(backend, fixed_weights, ids) == 0
    weights = xp.where(no_weight, xp.ones_like(weights), weights)
    single = block_size(backend, y, ids) == 1
    zeros = xp.zeros_like(fixed)
    data, fit = xp.where(single, zeros, y), xp.where(single, zeros, backend.stop_gradient(root))
    # |d|^(p-2) is 0/0 or infinite where an entry equals its block's value. Below the floor, which
    # is the rounding of a value, phi is linear: ties share a block's derivative by weight, and
    # p < 2 lets such an entry lead.
    scale = xp.max(xp.abs(backend.stop_gradient(data)), axis=-1, keepdims=True)
    scale = xp.where(scale > 0, scale, xp.ones_like(scale))
    floor = scale * (8 * float(xp.finfo(y.dtype).eps))
    for _ in range(2):
        step = _newton_step(backend, xp.subtract(fit, data), weights, ids, p, floor)
        fit = xp.subtract(fit, step)
    return spread_nan(backend, xp.where(single, y, fit)), ids


def _newton_step(
    backend: Backend, distance: Array, weights: Array, ids: Array, p: float, floor: Array
) -> Array:
    """Return sum of weights phi(distance) over the sum of weights phi'(distance), a block."""
    xp = backend.namespace
    size = xp.abs(distance)
    beyond = size > floor
    # The common factor floor^(p-2) is divided out: it may overflow, the ratio may not.
    power = xp.where(beyond, xp.where(beyond, size, floor) / floor, xp.ones_like(size)) ** (p - 2)
    slope = xp.where(beyond, (p - 1) * power, power)
    value = block_sum(backend, xp.multiply(weights, distance * power), ids)
    return xp.divide(value, block_sum(backend, xp.multiply(weights, slope), ids))


def dykstra_fit(
    backend: Backend,
    y: Array,
    weights: Array | None,
    increasing: bool,
    max_iter: int,
    tol: Array | float,
) -> DykstraFit:
    """Return the least-squares fit by Dykstra's algorithm, with its status.

    A converged row is polished: its value is the mean of each active block. Another keeps the
    iterate as its value, with the derivative of the active blocks.
    """
    xp = backend.namespace
    fixed = backend.stop_gradient(y)
    detached_weights = xp.ones_like(fixed) if weights is None else backend.stop_gradient(weights)
    # The residual is compared with tol: a large common offset would drown it in rounding.
    offset = xp.where(xp.isfinite(fixed), fixed, xp.zeros_like(fixed))[..., :1]
    solve = structure_kernel(backend, "dykstra", dykstra, y)
    ids, iterate, iterations, residual = solve(
        fixed - offset, detached_weights, max_iter, tol, float(increasing)
    )
    converged = residual <= tol
    mean = (
        block_mean(backend, y, ids)
        if weights is None
        else weighted_block_mean(backend, y, weights, ids)
    )
    raw = (mean - backend.stop_gradient(mean)) + (backend.stop_gradient(iterate) + offset)
    fit = spread_nan(backend, xp.where(converged, mean, raw))
    return DykstraFit(fit, ids, iterations, residual, converged)
